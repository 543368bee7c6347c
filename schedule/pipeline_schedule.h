// PipelineSchedules: the order in which each stage of a pipeline runs the forward and backward of its micro-batches, for every schedule
// that a strategy can name.
//
// Not the time that it takes (sim/), nor the sends and receives between stages (the lowering writes those). One schedule for each pipeline
// coordinate; in an action `stage` is the chunk, model/chunks.h. Invariant (CheckSchedules, a test of every schedule): each chunk runs F,
// then B, or I and then W, once for each micro-batch, and the whole can run: no stage waits for something that comes only after its own
// turn.
#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "ir/schedule.h"
#include "ir/strategy.h"

namespace helm::schedule {

// The names that `strategy.schedule` may have:
//   none              one stage, each micro-batch forward and backward in turn
//   gpipe             all forwards, then all backwards (Huang et al. 2019)
//   1f1b              one forward, one backward after p - r - 1 forwards on stage r (PipeDream-flush; Megatron-LM schedules.py)
//   interleaved-1f1b  the same over virtual_pipeline chunks a stage (Narayanan et al. 2021); micro-batches in groups of p
//   zb-h1             1f1b with the weight gradients apart, on stage r by r micro-batches later (Qi et al. 2023)
std::vector<std::string> ScheduleNames();

// By pipeline coordinate. An unknown name, or numbers that the schedule does not take, is kInvalid.
Result<std::vector<ir::Schedule>> PipelineSchedules(const ir::Strategy& strategy, int64_t micro_batches);

// Says what is wrong: an action too few or too many, on the wrong stage, or a stage that waits for ever.
Status CheckSchedules(const std::vector<ir::Schedule>& schedules, int64_t chunks, int64_t micro_batches);

}  // namespace helm::schedule
