#include "planner/stage_refit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "model/chunks.h"
#include "planner/device_places.h"
#include "planner/prediction.h"
#include "planner/stage_split.h"
#include "planner/stage_times.h"

namespace helm::planner {
namespace {

constexpr int kTriesMost = 4;

std::vector<int64_t> LayersOf(const config::RunConfig& config, const ir::Strategy& strategy) {
  std::vector<int64_t> layers;
  for (const model::Chunk& chunk : model::ChunksOf(config.model, strategy)) layers.push_back(chunk.layer_end - chunk.layer_begin);
  return layers;
}

}  // namespace

std::optional<int64_t> LayersMost(const std::vector<StageMemory>& simulated, Bytes capacity) {
  HELM_CHECK(!simulated.empty(), "something is known of the stage");
  const StageMemory& last = simulated.back();
  const auto left = static_cast<double>((capacity - last.peak).count());
  double per_layer = last.layers > 0 ? static_cast<double>(last.peak.count()) / static_cast<double>(last.layers) : 0;
  if (simulated.size() > 1) {
    const StageMemory& before = simulated[simulated.size() - 2];
    if (before.layers != last.layers) {
      per_layer = static_cast<double>((last.peak - before.peak).count()) / static_cast<double>(last.layers - before.layers);
    }
  }
  if (per_layer <= 0) return left < 0 ? std::optional(std::max<int64_t>(0, last.layers - 1)) : std::nullopt;
  // Rounded down, also below 0.
  const auto more = static_cast<int64_t>(std::floor(left / per_layer));
  return std::max<int64_t>(0, left < 0 ? last.layers + std::min<int64_t>(more, -1) : last.layers + more);
}

Result<std::vector<Candidate>> RefitStages(const config::RunConfig& config, const Candidate& unfit, PartBook& parts,
                                           const PriceStrategy& price, const Cancellation& cancellation) {
  if (!unfit.strategy.micro_batches.empty()) return std::vector<Candidate>();  // its twin with equal shares of the batch is refitted
  HELM_ASSIGN_OR_RETURN(const StageTimes times, TimesOfStages(config, unfit.strategy, parts, cancellation));
  HELM_ASSIGN_OR_RETURN(const DevicePlaces places, PlaceDevices(config.cluster, unfit.strategy, config.software));
  std::vector<std::vector<StageMemory>> simulated(places.nodes.size());
  std::vector<Candidate> tried;
  tried.reserve(kTriesMost);  // `last` points into it
  const Candidate* last = &unfit;
  for (int i = 0; i < kTriesMost && !last->prediction.fits; ++i) {
    const std::vector<int64_t> layers = LayersOf(config, last->strategy);
    std::vector<int64_t> most;
    for (size_t stage = 0; stage < places.nodes.size(); ++stage) {
      simulated[stage].push_back({layers[stage], last->peak_of_class[stage]});
      const Bytes capacity = MemoryCapacity(*places.nodes[stage], config.search.memory_fraction);
      most.push_back(LayersMost(simulated[stage], capacity).value_or(std::numeric_limits<int64_t>::max()));
    }
    ir::Strategy next = unfit.strategy;
    const auto split = BalancedStagesWithin(config, next, times, most);
    if (!split || *split == last->strategy.stages) break;
    next.stages = *split;
    HELM_ASSIGN_OR_RETURN(Candidate candidate, price(next));
    tried.push_back(std::move(candidate));
    last = &tried.back();
  }
  return tried;
}

}  // namespace helm::planner
