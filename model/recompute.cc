#include "model/recompute.h"

#include <algorithm>
#include <string_view>

#include "model/chunks.h"

namespace helm::model {
namespace {

Recomputed Custom(const std::vector<std::string>& parts) {
  const auto has = [&parts](std::string_view part) { return std::ranges::find(parts, part) != parts.end(); };
  Recomputed again;
  again.whole = parts.empty();
  again.norm = has("norm");
  again.qkv_projection = has("qkv_projection");
  again.rope = has("rope");
  again.core_attention = has("core_attention");
  again.attention_output = has("attention_output");
  again.mla_up_projection = has("mla_up_projection");
  again.mlp_up = has("mlp") || has("mlp_up");
  again.mlp_activation = has("mlp") || has("mlp_activation");
  again.moe = has("moe");
  again.moe_activation = has("moe_activation");
  again.shared_experts = has("shared_experts");
  return again;
}

Recomputed InALayer(const ir::Strategy& strategy) {
  if (strategy.recompute == "custom") return Custom(strategy.recompute_ops);
  Recomputed again;
  again.whole = strategy.recompute == "full";
  again.core_attention = strategy.recompute == "selective";
  return again;
}

}  // namespace

int64_t RecomputedLayers(const ir::Strategy& strategy, int64_t chunk_layers) {
  if (strategy.recompute == "none") return 0;
  return strategy.recompute_layers > 0 ? std::min(strategy.recompute_layers, chunk_layers) : chunk_layers;
}

std::vector<Recomputed> RecomputedByLayer(const ModelSpec& model, const ir::Strategy& strategy) {
  std::vector<Recomputed> layers(static_cast<size_t>(model.layers));
  const Recomputed again = InALayer(strategy);
  for (const Chunk& chunk : ChunksOf(model, strategy)) {
    const int64_t count = RecomputedLayers(strategy, chunk.layer_end - chunk.layer_begin);
    std::fill_n(layers.begin() + chunk.layer_begin, count, again);
  }
  return layers;
}

}  // namespace helm::model
