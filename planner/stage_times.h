// StageTimes: for each stage of a pipeline what the parts of the model take there (planner/part_times.h): the same for all, unless the
// stages lie on several kinds of nodes.
#pragma once

#include <vector>

#include "config/run_config.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "ir/strategy.h"
#include "planner/part_times.h"

namespace helm::planner {

using StageTimes = std::vector<const PartTimes*>;  // by stage

// A stage on several kinds of nodes has the times of the slowest: it takes those at least. They live as long as `parts`. Fails only when it
// is cancelled. REQUIRES: the strategy names the groups of the cluster.
Result<StageTimes> TimesOfStages(const config::RunConfig& config, const ir::Strategy& strategy, PartBook& parts,
                                 const Cancellation& cancellation);

// The same on the data-parallel ranks [first, end) alone. REQUIRES: expert is 1, so that each of them is neighbours in a stage.
Result<StageTimes> TimesOfShare(const config::RunConfig& config, const ir::Strategy& strategy, int64_t data_first, int64_t data_end,
                                PartBook& parts, const Cancellation& cancellation);

}  // namespace helm::planner
