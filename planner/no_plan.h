// What a search says that found no plan: the closest one, how much it is missing, which constraint binds and what helps.
#pragma once

#include <cstdint>
#include <vector>

#include "config/run_config.h"
#include "core/status.h"
#include "planner/search.h"

namespace helm::planner {

// Nothing of the space fits, kInfeasible. `candidates`: those of the space. REQUIRES: `result.unfit` is sorted, `result.ranked` empty.
Status NothingFits(const config::RunConfig& config, const std::vector<ir::Strategy>& candidates, const SearchResult& result);

// The search was cut short before a plan was found that fits: kInterrupted, or kInfeasible and the time limit as what binds.
Status NothingYet(const config::RunConfig& config, const SearchResult& result);
// The same where `fitting` strategies fit, and of none of them it is known yet how long its step is.
Status NothingPricedYet(const config::RunConfig& config, int64_t fitting, bool interrupted);

}  // namespace helm::planner
