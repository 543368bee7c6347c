// FewestLayers: of a strategy that does not fit without recomputation and fits with all layers computed again: in how many layers of each
// chunk it is enough. Each layer less is a forward pass less.
//
// Only for frameworks that compute the first layers of a chunk again and keep what backward reads of the others: HELM, and Megatron-LM's
// --recompute-method block with what is built on it.
#pragma once

#include <functional>
#include <optional>

#include "config/run_config.h"
#include "core/status.h"
#include "core/units.h"
#include "planner/search.h"

namespace helm::planner {

using PriceStrategy = std::function<Result<Candidate>(const ir::Strategy&)>;

// So many layers of each chunk computed again are too few.
struct TooFewLayers {
  int64_t layers = 0;
  Bytes lacks;  // on the rank with least left; at least
};

// The candidate with the fewest layers that fits, if that is fewer than all. Memory falls with each layer, about by as much: so numbers are
// tried where a straight line between what does not fit and what does meets the capacity. Fails as `price` does.
// REQUIRES: `full` fits, too_few.lacks is positive.
Result<std::optional<Candidate>> FewestLayers(const config::RunConfig& config, const TooFewLayers& too_few, const Candidate& full,
                                              const PriceStrategy& price);

}  // namespace helm::planner
