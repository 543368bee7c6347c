// DualPipeV's schedules: two chunks a stage in a V, forwards of the one paired with backwards of the other, so that the messages of each
// pair lie under the computation of the other (DeepSeek, github.com/deepseek-ai/DualPipe, dualpipev.py: the eight parts of its step).
//
// Of a pair, F comes first and B behind it; running the two op by op beside each other is a pass's work, not this one's.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/schedule.h"

namespace helm::schedule {

// REQUIRES: micro_batches >= 2 stages.
std::vector<ir::Schedule> DualPipeVSchedules(int64_t stages, int64_t micro_batches);

}  // namespace helm::schedule
