// RankPool: processes of this executable that wait for jobs and run them as ranks. helm-exec starts one for its plan (and the unsplit model
// after it); the parity tests keep one for many plans.
//
// The parent supervises: a rank that dies, hangs or diverges ends the job with the rank, the op and the cause. When a rank did not live to
// say so itself, all processes are ended too, and the pool takes no more jobs. No process outlives the pool.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "exec/child_process.h"
#include "exec/failure.h"
#include "exec/job.h"
#include "exec/progress.h"

namespace helm::exec {

struct PoolOptions {
  int64_t ranks = 1;
  std::string executable;                          // empty: this process's own
  std::chrono::milliseconds timeout{60000};        // without progress of a rank
  std::function<void(std::string_view line)> log;  // what ranks write on stderr, with "[rank N] " before it
  const std::atomic<bool>* interrupted = nullptr;
};

using StepObserver = std::function<void(int64_t step, double loss)>;

class RankPool {
 public:
  static Result<std::unique_ptr<RankPool>> Start(PoolOptions options);
  ~RankPool();

  // Runs the job on its program's world size, the first ranks of the pool. REQUIRES: not failed().
  Result<JobRecord> Run(const Job& job, const StepObserver& observer);

  std::vector<int> processes() const;
  bool failed() const { return failed_; }  // its processes are gone

 private:
  struct Rank {
    std::unique_ptr<ChildProcess> process;
    RankObservation seen;
    std::vector<int64_t> progress;  // as last read
    std::chrono::steady_clock::time_point progressed;
  };

  explicit RankPool(PoolOptions options) : options_(std::move(options)) {}
  Status AwaitStart(const ir::StepPrograms& step);
  Status Give(const Job& job, const ir::StepPrograms& step, int port);
  Status Supervise(const ir::StepPrograms& step, const StepObserver& observer);
  void Listen(const StepObserver& observer);
  void HandleReply(Rank& rank, const std::string& line, const StepObserver& observer);
  void Observe(Rank& rank);
  void WaitForNews() const;
  std::vector<RankObservation> Observations() const;
  void KillAll();

  PoolOptions options_;
  std::unique_ptr<ProgressBoard> board_;
  std::vector<Rank> ranks_;
  size_t active_ = 0;  // the first ones, in the job under way
  bool failed_ = false;
};

}  // namespace helm::exec
