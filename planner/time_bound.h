// TimeLowerBound: what a strategy's step takes at least, without its program.
//
// A stage has to run every micro-batch through its layers, one action after the other (planner/part_times.h). It begins when the first
// micro-batch has come through the stages before it, and where its last action is a backward pass the stages before it have theirs still to
// do. Where parameters are sharded, the links have to gather them for every micro-batch, and to reduce gradients into shards. Nothing of
// the optimizer, of messages, or of what else is reduced between data-parallel ranks. Admissible: never more than the step simulates to
// (property test), as long as sharded parameters and recomputation only cost time, as the search takes them to (planner/space.h).
#pragma once

#include "core/cancellation.h"
#include "core/status.h"
#include "core/units.h"
#include "planner/part_times.h"

namespace helm::planner {

struct TimeBound {
  Duration step;       // of a step whose communication is where the lowering puts it; with passes (strategy.overlap) that of computing
  Duration computing;  // were all communication hidden: of any
};

// Fails only when it is cancelled. REQUIRES: CheckStrategy is ok.
Result<TimeBound> TimeLowerBound(const config::RunConfig& config, const ir::Strategy& strategy, PartBook& parts,
                                 const Cancellation& cancellation = {});

}  // namespace helm::planner
