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
#include "planner/search.h"

namespace helm::planner {

using PriceStrategy = std::function<Result<Candidate>(const ir::Strategy&)>;

// The candidate with the fewest layers that fits, if that is fewer than all. Memory falls with each layer, about by as much: so numbers are
// tried where a straight line between what did not fit and what did meets the capacity. Fails as `price` does.
// REQUIRES: `none` does not fit, `full` does; they differ in `recompute` alone.
Result<std::optional<Candidate>> FewestLayers(const config::RunConfig& config, const Candidate& none, const Candidate& full,
                                              const PriceStrategy& price);

}  // namespace helm::planner
