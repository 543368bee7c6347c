// ProgressBoard: a page of memory that a parent and its rank processes share, in which each rank writes where it is. It outlives the ranks,
// so that the parent can say what a rank was doing when it died, and sees a rank that does not get on without any help of that rank.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/status.h"

namespace helm::exec {

// In the order in which a rank goes through them.
enum class RankStage : int64_t {
  kStarting,
  kIdle,
  kJoining,
  kPreparing,
  kInitialising,
  kGradients,
  kWritingGradients,
  kTraining,
  kCheckpointing,  // and training again
  kWriting
};
std::string_view Name(RankStage stage);  // "starting", "waiting for work", "joining the other ranks", ...

struct RankProgress {
  std::atomic<int64_t> stage{0};
  std::atomic<int64_t> step{0};
  // In kGradients and kTraining: of the program that runs; -1 before its first op of a step, the number of its ops behind the last.
  std::atomic<int64_t> op{-1};
  std::atomic<int64_t> beat{0};  // goes up with each piece of other work

  void Enter(RankStage next) {
    stage.store(static_cast<int64_t>(next), std::memory_order_relaxed);
    op.store(-1, std::memory_order_relaxed);
    beat.fetch_add(1, std::memory_order_relaxed);
  }
  void EnterStep(int64_t next) {
    step.store(next, std::memory_order_relaxed);
    op.store(-1, std::memory_order_relaxed);
  }
  void Beat() { beat.fetch_add(1, std::memory_order_relaxed); }
};
static_assert(std::atomic<int64_t>::is_always_lock_free, "shared between processes");

class ProgressBoard {
 public:
  static Result<std::unique_ptr<ProgressBoard>> Make(int64_t ranks);
  // Of the parent, by the file descriptor that it inherited.
  static Result<std::unique_ptr<ProgressBoard>> Open(int file_descriptor, int64_t ranks);
  ~ProgressBoard();
  ProgressBoard(const ProgressBoard&) = delete;
  ProgressBoard& operator=(const ProgressBoard&) = delete;

  int file_descriptor() const { return file_descriptor_; }
  RankProgress& of(int64_t rank);

 private:
  struct alignas(64) Slot {  // a cache line each: ranks write often
    RankProgress progress;
  };
  static Result<std::unique_ptr<ProgressBoard>> Map(int file_descriptor, int64_t ranks);
  ProgressBoard(int file_descriptor, int64_t ranks, Slot* slots) : file_descriptor_(file_descriptor), ranks_(ranks), slots_(slots) {}

  int file_descriptor_;
  int64_t ranks_;
  Slot* slots_;
};

}  // namespace helm::exec
