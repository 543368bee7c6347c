// What is made of finished jobs: the comparison of a split run with the unsplit one, and the content of a state dump. Reads the ranks'
// private files; runs nothing.
#pragma once

#include "core/status.h"
#include "exec/job.h"
#include "exec/state_dump.h"
#include "exec/verify.h"

namespace helm::exec {

struct FinishedJob {
  const Job& job;  // with keep_state
  const JobRecord& record;
};

// REQUIRES: both made the same steps of the same training.
Result<VerifyResult> CompareRuns(const FinishedJob& split, const FinishedJob& unsplit, const VerifyBounds& bounds);

Result<StateDump> CollectDump(const FinishedJob& run);

}  // namespace helm::exec
