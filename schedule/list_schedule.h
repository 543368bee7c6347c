// ListSchedules: zero-bubble schedules by list scheduling. Time is played in rounds in which every stage runs one action, each F, I and W
// taking one round. A stage takes an input gradient that is ready, or a forward while fewer than `in_flight_most` chunk-forwards of it
// still wait for their weight gradient; only where there is neither, a weight gradient. So weight gradients fill what would be bubbles.
//
// Not a search, and not made for the times that a model's chunks really have: with F = I = W and no time for messages these are the
// schedules of Qi et al. 2023 (arXiv 2401.10241) without bubbles; with other times there are some, and sim/ says how long.
// Invariant: complete and free of deadlocks (CheckSchedules), for `in_flight_most` from the number of a stage's chunks up.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/schedule.h"

namespace helm::schedule {

struct ListScheduleOptions {
  std::vector<int64_t> stage_of_chunk;  // in the model's order
  int64_t stages = 1;
  int64_t micro_batches = 1;
  int64_t in_flight_most = 1;  // forwards of chunks on a stage whose weight gradient has not run
  // Which of the two goes first where both are ready. Of forwards that of the later chunk, of input gradients that of the earlier one, so
  // that both reach the end of the stage's work soonest.
  bool forward_first = false;
};

std::vector<ir::Schedule> ListSchedules(const ListScheduleOptions& options);

}  // namespace helm::schedule
