// The space of strategies that a search looks at: what the configuration fixes stays, the rest varies.
//
// Varied: data, tensor, context (where sequences are long), sequence_parallel, pipeline and its order (planner/pipeline_orders.h), zero (0
// and 1), micro_batch. Where a pipeline does not divide the layers its stages are nearly equal here; the search, which knows the times,
// balances them (planner/stage_split.h). The order of the candidates is a total order that does not depend on anything but the
// configuration: pipeline, then tensor, context, the order of the pipeline, that of the cluster's groups (cluster/device_groups.h),
// sequence_parallel, zero and micro_batch, ascending.
// Recomputation and sharded parameters (zero 3) only cost time, so they are no candidates of their own: Fallbacks and FullySharded are for
// when one does not fit. zero 2 is never faster than 1 nor smaller than 3, so it is priced only where it is asked for.
#pragma once

#include <functional>
#include <optional>
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

// What the program that is to run the plan cannot be told of a strategy that is possible otherwise: kInvalid, a line for each thing. Empty:
// there is nothing.
using Expressible = std::function<Status(const ir::Strategy&)>;

struct Space {
  std::vector<ir::Strategy> candidates;
  std::vector<Rejection> rejected;  // by divisibility, the model's sizes, `search.forbid`, or what cannot be expressed
  // Lines of Expressible that are the same for all strategies that it refuses; none where it refuses none.
  std::optional<std::vector<std::string>> refusals_of_all;
};

// Strategies with zero 1 that cannot be expressed stand in it with their parameters sharded, where that can.
Space EnumerateStrategies(const config::RunConfig& config, const Expressible& expressible = {});

// The same strategy with its parameters sharded, where that is left to the search: of a candidate with zero 1, so that each comes once; of
// pipelines by 1F1B alone, unless the configuration says by what.
std::optional<ir::Strategy> FullySharded(const config::RunConfig& config, const ir::Strategy& strategy,
                                         const Expressible& expressible = {});

// The same strategy with recomputation, least first: what to try when it does not fit. Empty when the configuration fixes `recompute`.
std::vector<ir::Strategy> Fallbacks(const config::RunConfig& config, const ir::Strategy& strategy, const Expressible& expressible = {});

// The same strategy with the passes that hide communication inside layers: where `overlap` is left to the search, HELM itself runs
// the plan (a framework runs its own order), and ranks do not need for communication the cores that they compute with. Rejected are those
// that the passes refuse, with their reason.
Space OverlapVariants(const config::RunConfig& config, const ir::Strategy& strategy, const Expressible& expressible = {});
// The same with twice as many tiles, where their number is left to the search too and the micro-batch can be divided so.
std::optional<ir::Strategy> WithMoreTiles(const config::RunConfig& config, const ir::Strategy& strategy);
// The same with buckets (schedule/bucketing.h, schedule/gradient_buckets.h) beside the passes that it has, where passes are left to the
// search: what the lattice interleaves is put together again where that pays, or reductions of gradients are.
std::optional<ir::Strategy> WithBuckets(const config::RunConfig& config, const ir::Strategy& strategy, const Expressible& expressible = {});

// For pricing without a search: the strategy with its defaults must be possible and use the whole cluster.
Status CheckFixedStrategy(const config::RunConfig& config);

}  // namespace helm::planner
