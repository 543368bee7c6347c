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

// What the rank with least left lacks; negative: what it has left.
double Lacking(const Candidate& candidate) {
  return static_cast<double>((candidate.prediction.memory_bytes_peak - candidate.prediction.memory_bytes_capacity).count());
}

// Between `low`, which lacks memory, and `high`, which does not.
int64_t Guess(int64_t low, double low_lacking, int64_t high, double high_lacking) {
  const double share = low_lacking / (low_lacking - high_lacking);
  const auto at = low + static_cast<int64_t>(std::ceil(share * static_cast<double>(high - low)));
  return std::clamp(at, low + 1, high - 1);
}

}  // namespace

Result<std::optional<Candidate>> FewestLayers(const config::RunConfig& config, const TooFewLayers& too_few, const Candidate& full,
                                              const PriceStrategy& price) {
  HELM_CHECK(too_few.lacks > Bytes() && full.prediction.fits, "layers are counted between what does not fit and what does");
  std::optional<Candidate> fewest;
  if (!CanCount(config.software.framework)) return fewest;
  int64_t low = too_few.layers, high = LayersOfLargestChunk(config.model, full.strategy);
  double low_lacking = static_cast<double>(too_few.lacks.count()), high_lacking = Lacking(full);
  while (high - low > 1) {
    ir::Strategy strategy = full.strategy;
    strategy.recompute = "custom";
    strategy.recompute_layers = Guess(low, low_lacking, high, high_lacking);
    HELM_ASSIGN_OR_RETURN(Candidate candidate, price(strategy));
    const double lacking = Lacking(candidate);
    if (candidate.prediction.fits) {
      high = strategy.recompute_layers;
      high_lacking = lacking;
      fewest = std::move(candidate);
    } else {
      low = strategy.recompute_layers;
      low_lacking = lacking;
    }
  }
  return fewest;
}

}  // namespace helm::planner
