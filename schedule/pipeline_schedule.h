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
//   zb-h2             twice as many forwards ahead, no bubble where F = I = W (schedule/list_schedule.h with 2p - 1 in flight)
//   zb-v              two chunks a stage, up the stages and down again; as much memory as 1f1b, no bubble where F = I = W (list_schedule.h)
//   dualpipev         the same two chunks, forwards paired with backwards of the other chunk (DeepSeek's DualPipeV; a pair runs F, then B)
// and csv, the user's own order in `strategy.schedule_rows` (ir/schedule_csv.h).
std::vector<std::string> ScheduleNames();

// By pipeline coordinate. An unknown name, or numbers that the schedule does not take, is kInvalid.
Result<std::vector<ir::Schedule>> PipelineSchedules(const ir::Strategy& strategy, int64_t micro_batches);

// Says what is wrong: an action too few or too many, on the wrong stage, or a stage that waits for ever.
Status CheckSchedules(const std::vector<ir::Schedule>& schedules, const std::vector<int64_t>& stage_of_chunk, int64_t micro_batches);

// The stage of each chunk, in the model's order (model::StageOfChunk).
std::vector<int64_t> StagesOfChunks(const ir::Strategy& strategy);

}  // namespace helm::schedule
