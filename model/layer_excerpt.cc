#include "model/layer_excerpt.h"

#include <algorithm>
#include <array>
#include <set>

#include "ir/sharding.h"
#include "model/chunks.h"
#include "model/lower.h"
#include "model/parameter_plan.h"
#include "model/recompute.h"

namespace helm::model {
namespace {

// Layers with the last parameter of a bucket in the order in which backward completes the gradients, but for buckets that are one layer's.
std::set<int64_t> LayersThatCompleteBuckets(const ParameterPlan& plan) {
  std::vector<int64_t> layer_of(plan.parameters.size(), -1);
  for (size_t layer = 0; layer < plan.layers.size(); ++layer) {
    for (const ParameterIndex index : ParametersOf(plan.layers[layer])) layer_of[static_cast<size_t>(index)] = static_cast<int64_t>(layer);
  }
  std::set<int64_t> layers;
  for (size_t i = 0; i < plan.buckets.size(); ++i) {
    if (!IsOfOneLayer(plan, i) && !plan.buckets[i].frozen) layers.insert(layer_of[static_cast<size_t>(plan.buckets[i].parameters.back())]);
  }
  return layers;
}

// Lets the first inner layer of the chunk that is not in `kept` stand for the others of its kind: dense or with experts, computed again or
// not. `ends`: layers at either end of a chunk that are not inner.
void LeaveOut(const ModelSpec& model, const ir::Strategy& strategy, const Chunk& chunk, const std::set<int64_t>& kept, int64_t ends,
              std::vector<int32_t>& told_by) {
  const int64_t again_end = chunk.layer_begin + RecomputedLayers(strategy, chunk.layer_end - chunk.layer_begin);
  std::array<int64_t, 4> stand_ins = {-1, -1, -1, -1};
  // With adapters backward may end in the model's first layer before it reads what all layers share (RoPE's tables): the second reads it
  // last.
  const int64_t early = model.lora.rank > 0 && chunk.layer_begin == 0 ? 1 : 0;
  for (int64_t layer = chunk.layer_begin + ends + early; layer + ends < chunk.layer_end; ++layer) {
    if (kept.contains(layer)) continue;
    int64_t& stand_in = stand_ins[(HasExperts(model, layer) ? 1 : 0) + (layer < again_end ? 2 : 0)];
    if (stand_in < 0) stand_in = layer;
    told_by[static_cast<size_t>(layer)] = static_cast<int32_t>(stand_in);
  }
}

}  // namespace

int32_t LayerExcerpt::ToldBy(int64_t layer, bool in_last) const {
  const std::vector<int32_t>& layers = in_last ? told_by_in_last : told_by;
  return layers.empty() ? static_cast<int32_t>(layer) : layers[static_cast<size_t>(layer)];
}

LayerExcerpt ExcerptOf(const ModelSpec& model, const ir::Software& software, const ir::Strategy& strategy, int64_t stage, bool whole_last) {
  LayerExcerpt excerpt;
  const bool sharded = ShardingOf(strategy).gradients;
  const bool alike = model.moe.experts == 0 || !HasDenseLayers(model);
  const bool as_in_last = whole_last && !ShardingOf(strategy).parameters;  // a reduction beside some layers, in every micro-batch
  if (sharded && (!alike || as_in_last || strategy.fsdp_replicate > 1)) return excerpt;
  for (int64_t layer = 0; layer < model.layers; ++layer) excerpt.told_by.push_back(static_cast<int32_t>(layer));
  excerpt.told_by_in_last = excerpt.told_by;
  const ModelSpec padded = WithPaddedVocabulary(model, software, strategy.tensor);
  const ParameterPlan plan = PlanParameters(padded, strategy, BucketBytes(software, strategy), stage);
  const std::set<int64_t> reducing = ir::BatchRanks(strategy) > 1 ? LayersThatCompleteBuckets(plan) : std::set<int64_t>();
  const int64_t ends = sharded ? std::max<int64_t>(1, software.fsdp_prefetch) : 1;
  for (const Chunk& chunk : ChunksOfStage(model, strategy, stage)) {
    LeaveOut(model, strategy, chunk, sharded ? reducing : std::set<int64_t>(), ends, excerpt.told_by);
    if (sharded) continue;
    if (!whole_last || ir::BatchRanks(strategy) == 1) LeaveOut(model, strategy, chunk, reducing, ends, excerpt.told_by_in_last);
  }
  if (sharded) excerpt.told_by_in_last = excerpt.told_by;
  return excerpt;
}

}  // namespace helm::model
