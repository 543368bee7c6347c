// Diagnose: why a run failed, from what could be seen of its ranks. A pure function, so that each kind of failure has a test.
//
// One failure makes others: when a rank dies, its peers report a lost connection. So causes are ranked: a rank that died comes before one
// whose training diverged or that found an error of its own, then one that is stopped, then one that makes no progress (of several, the one
// that the others wait for: exec/rank_wait.h), and last one that lost a peer.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/status.h"
#include "exec/progress.h"
#include "ir/step_programs.h"

namespace helm::exec {

// What the parent knows of one rank of a job.
struct RankObservation {
  int64_t rank = 0;
  std::optional<Status> reported;  // its answer to the job
  std::optional<int> ended;        // status of waitpid, when the process has ended
  RankStage stage = RankStage::kStarting;
  int64_t step = 0;
  int64_t op = -1;  // as in RankProgress
  std::chrono::milliseconds since_progress{0};
  bool stopped = false;  // by a signal (SIGSTOP), as the kernel says

  bool failed() const { return ended.has_value() || (reported.has_value() && !reported->ok()); }
};

// "rank 1 was killed by signal 9 (Killed) while training, in step 3, at op 412 aten.mm (mlp.up, forward, layer 2, micro-batch 0)".
// REQUIRES: some rank failed or has made no progress for `timeout`.
Status Diagnose(const ir::StepPrograms& step, std::span<const RankObservation> ranks, std::chrono::milliseconds timeout);

}  // namespace helm::exec
