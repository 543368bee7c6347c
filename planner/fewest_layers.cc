#include "planner/fewest_layers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "core/check.h"
#include "model/chunks.h"

namespace helm::planner {
namespace {

// megatron/core/transformer/transformer_config.py, recompute_method.
bool CanCount(const std::string& framework) {
  constexpr std::array<std::string_view, 5> kFrameworks = {"helm", "megatron-core", "megatron-lm", "megatron-bridge", "nemo"};
  return std::ranges::find(kFrameworks, framework) != kFrameworks.end();
}

int64_t LayersOfLargestChunk(const model::ModelSpec& model, const ir::Strategy& strategy) {
  int64_t layers = 0;
  for (const model::Chunk& chunk : model::ChunksOf(model, strategy)) layers = std::max(layers, chunk.layer_end - chunk.layer_begin);
  return layers;
}

// Between `low`, whose peak is above the capacity, and `high`, whose peak is not.
int64_t Guess(int64_t low, double low_peak, int64_t high, double high_peak, double capacity) {
  const double share = (low_peak - capacity) / (low_peak - high_peak);
  const auto at = low + static_cast<int64_t>(std::ceil(share * static_cast<double>(high - low)));
  return std::clamp(at, low + 1, high - 1);
}

}  // namespace

Result<std::optional<Candidate>> FewestLayers(const config::RunConfig& config, const Candidate& none, const Candidate& full,
                                              const PriceStrategy& price) {
  HELM_CHECK(!none.prediction.fits && full.prediction.fits, "layers are counted between what does not fit and what does");
  std::optional<Candidate> fewest;
  if (!CanCount(config.software.framework)) return fewest;
  const auto capacity = static_cast<double>(none.prediction.memory_bytes_capacity.count());
  int64_t low = 0, high = LayersOfLargestChunk(config.model, full.strategy);
  auto low_peak = static_cast<double>(none.prediction.memory_bytes_peak.count());
  auto high_peak = static_cast<double>(full.prediction.memory_bytes_peak.count());
  while (high - low > 1) {
    ir::Strategy strategy = full.strategy;
    strategy.recompute = "custom";
    strategy.recompute_layers = Guess(low, low_peak, high, high_peak, capacity);
    HELM_ASSIGN_OR_RETURN(Candidate candidate, price(strategy));
    const auto peak = static_cast<double>(candidate.prediction.memory_bytes_peak.count());
    if (candidate.prediction.fits) {
      high = strategy.recompute_layers;
      high_peak = peak;
      fewest = std::move(candidate);
    } else {
      low = strategy.recompute_layers;
      low_peak = peak;
    }
  }
  return fewest;
}

}  // namespace helm::planner
