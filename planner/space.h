// The space of strategies that a search looks at: what the configuration fixes stays, the rest varies.
//
// Varied: data, tensor, sequence_parallel, micro_batch. The order of the candidates is a total order that does not depend on anything but
// the configuration: tensor, then sequence_parallel, then micro_batch, ascending.
#pragma once

#include <string>
#include <vector>

#include "config/run_config.h"
#include "core/status.h"
#include "ir/strategy.h"

namespace helm::planner {

struct Rejection {
  ir::Strategy strategy;
  std::string reason;
};

struct Space {
  std::vector<ir::Strategy> candidates;
  std::vector<Rejection> rejected;  // by divisibility, the model's sizes, or `search.forbid`
};

Space EnumerateStrategies(const config::RunConfig& config);

// For pricing without a search: the strategy with its defaults must be possible and use the whole cluster.
Status CheckFixedStrategy(const config::RunConfig& config);

}  // namespace helm::planner
