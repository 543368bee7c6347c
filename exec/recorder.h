// Recorder: turns what the interpreter measured into a timeline (ir/timeline.h), with the rows that the simulator uses, so that the two lie
// beside each other (ir/stream_layout.h).
//
// On a CPU the host thread is the compute stream: compute ops and the blocking part of waits are on "compute", launches of views and
// collectives on "host". On a GPU every op's launch is on "host" as well.
#pragma once

#include <cstdint>
#include <vector>

#include "core/units.h"
#include "ir/step_programs.h"
#include "ir/timeline.h"
#include "runtime/interpreter.h"

namespace helm::exec {

// Of one step on one rank. `memory_bytes_peak`: over all steps.
ir::Timeline TimelineOf(const ir::StepPrograms& step, int64_t rank, const runtime::StepRecord& record, Bytes memory_bytes_peak);

// One timeline of all ranks' timelines of the same step. REQUIRES: not empty, all of the same program.
ir::Timeline Merge(const std::vector<ir::Timeline>& ranks);

// Index of the median of the values; of two middle ones the first. Ties go to the lower index. REQUIRES: not empty.
size_t MedianIndex(const std::vector<Duration>& values);

}  // namespace helm::exec
