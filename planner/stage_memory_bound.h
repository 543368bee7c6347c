// StageMemoryBounds: what the rank with the most needs at least, by what the layers of its stage keep for their backward pass.
//
// Tighter than MemoryLowerBound (planner/memory_bound.h), which knows no more than that each layer keeps its input: parts of the model that
// were lowered for their times (planner/part_times.h) tell what they keep, and the pipeline's schedule how many micro-batches are kept at
// once. Not what a forward or backward pass needs while it runs, but for the one layer that is computed again when all others are still
// kept. Admissible: never more than the simulated peak (property test).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "config/run_config.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "core/units.h"
#include "ir/strategy.h"
#include "planner/part_times.h"

namespace helm::planner {

// Not safe for concurrent use. `config` and `parts` outlive it.
class StageMemoryBounds {
 public:
  StageMemoryBounds(const config::RunConfig& config, PartBook& parts);

  // MemoryLowerBound at least; no more where parts do not tell: passes that move operators, single operators computed again, a schedule of
  // the user's own, several kinds of nodes, frozen parameters. Fails only when it is cancelled. REQUIRES: CheckStrategy is ok.
  Result<Bytes> Of(const ir::Strategy& strategy, const Cancellation& cancellation = {});

  // The fewest layers of each chunk to compute again of which the bound does not say that they are too few; none: it says so of all.
  Result<std::optional<int64_t>> FewestRecomputed(const ir::Strategy& strategy, Bytes capacity, const Cancellation& cancellation = {});

 private:
  // By stage and by chunk of it: the micro-batches kept when most are, before a backward pass.
  using Held = std::vector<std::vector<int64_t>>;
  using HeldKey = std::tuple<std::string, int64_t, int64_t, int64_t>;  // schedule, pipeline, virtual_pipeline, micro-batches

  const Held& HeldBy(const ir::Strategy& strategy);
  struct Parameters {
    int64_t common = 0, routed = 0;
  };
  Parameters ParametersOf(const ir::Strategy& strategy, int64_t stage) const;
  int64_t WholeGradientsBeside(const ir::Strategy& strategy, int64_t stage, const Parameters& parameters) const;

  const config::RunConfig& config_;
  PartBook& parts_;
  std::vector<int64_t> common_before_, routed_before_;  // parameters of the layers before each, and of all
  std::map<HeldKey, Held> held_;
};

// The same strategy with all operators of so many layers of each chunk computed again.
ir::Strategy WithRecomputedLayers(ir::Strategy strategy, int64_t layers);

}  // namespace helm::planner
