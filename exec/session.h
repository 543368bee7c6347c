// Session: one rank's part of a job: materialise, initialise, run the steps, record, and leave the state where it was asked for.
//
// Not the making of processes (exec/rank_pool.h) nor of the world (the caller joins it). All ranks of the world call RunSession with the
// same job.
//
// Before each step the ranks meet, so that their clocks' zeros agree; that time is not part of the step. After each step they compare
// losses: one that is not finite, or that differs between ranks, ends the run.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "core/status.h"
#include "exec/job.h"
#include "exec/progress.h"
#include "runtime/communicator.h"

namespace helm::exec {

struct SessionContext {
  runtime::World* world = nullptr;                         // null: the only rank
  RankProgress* progress = nullptr;                        // where this rank says what it does
  std::function<void(int64_t step, double loss)> on_step;  // may be empty
  const std::atomic<bool>* interrupted = nullptr;          // looked at before each step; may be null
  std::chrono::milliseconds timeout{60000};                // after which a rank that says nothing counts as lost
  bool shares_process = false;  // with other ranks: what the allocator counts is not this rank's, so no memory is recorded
};

// A status that says that training itself went wrong (not a lost peer) begins with this word.
inline constexpr std::string_view kDiverged = "diverged: ";

// The record on rank 0, nothing on the others.
Result<std::optional<JobRecord>> RunSession(const Job& job, const SessionContext& context);

}  // namespace helm::exec
