// RunInProcess: the ranks of a job as threads of this process (runtime/in_process.h): any local plan on one GPU, or on a machine that
// starts no processes. Its times are those of ranks that share a device; memory could only be counted for all of them together, so none is
// recorded.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>

#include "core/status.h"
#include "exec/job.h"

namespace helm::exec {

struct InProcessOptions {
  int64_t ranks = 1;
  std::chrono::milliseconds timeout{60000};                // of a rank that waits for others
  const std::atomic<bool>* interrupted = nullptr;          // may be null
  std::function<void(int64_t step, double loss)> on_step;  // on rank 0's thread; may be empty
};

// kRankFailed (or the rank's own status where it never depended on others) with the first rank that failed, kInterrupted.
Result<JobRecord> RunInProcess(const Job& job, const InProcessOptions& options);

}  // namespace helm::exec
