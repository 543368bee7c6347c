// PairActions: the forward of one micro-batch and the backward of another, next to each other in a program's schedule, as one action,
// `(0F3;0B1)OVERLAP_F_B`: the two strands of a rank, which may then be interleaved (schedule/strands.h). The ops stay in their order; those
// of the backward get strand 1.
//
// Pairs are taken from the front, first those in which the forward comes first, as in a pipeline; then, of what is left, those in which it
// comes second, as on one stage. Input gradients alone (I) are not paired. Whether other ranks then wait for each other is the schedule's
// to know (schedule/pipeline_schedule.h).
#pragma once

#include "ir/program.h"

namespace helm::schedule {

ir::Program PairActions(const ir::Program& program);

}  // namespace helm::schedule
