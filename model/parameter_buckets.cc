#include "model/parameter_buckets.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ir/sharding.h"

namespace helm::model {

using ir::ParameterPiece;

namespace {

// Fills buckets in backward order until each holds at least bucket_bytes of fp32 gradients; what is not split over the tensor group, and
// what two stages share, comes last, in buckets of its own. With ZeRO a bucket is one run of shards, so it holds parameters of one kind:
// with weight decay or without. Experts that are split over ranks have buckets of their own. Where parameters are sharded, a bucket is the
// matrices of a layer, and what is left is the root.
class BucketFiller {
 public:
  // `expert_shards`: ranks that share what ZeRO shards of experts that are split over ranks.
  BucketFiller(ParameterPlan& plan, int64_t bucket_bytes, const Sharding& sharding, int64_t expert_shards)
      : plan_(plan), bucket_bytes_(bucket_bytes), sharding_(sharding), expert_shards_(expert_shards) {}

  void Run() {
    plan_.bucket_of.resize(plan_.parameters.size());
    if (sharding_.parameters) FillLayers();
    for (size_t i = 0; i < plan_.parameters.size(); ++i) {
      if (!placed_.contains(i)) Put(i);
    }
    for (auto& [key, bucket] : open_) Close(bucket);
  }

 private:
  // Order in which what is left over at the end is closed: sharded, replicated, partial, tied; of each with decay first; then frozen ones.
  using Key = std::tuple<bool, bool, Share, bool, bool>;  // frozen, tied, share, experts, without decay (ZeRO)

  void FillLayers() {
    plan_.layer_buckets.resize(plan_.layers.size());
    for (size_t layer = plan_.layers.size(); layer-- > 0;) {
      const LayerParameters& of = plan_.layers[layer];
      Bucket bucket = NewBucket(LikeMatricesOf(of));
      // In the order in which backward completes their gradients.
      for (const ParameterIndex index :
           {of.experts.down_weight, of.experts.up_weight, of.experts.router, of.shared.down_weight, of.shared.up_weight, of.mlp.down_weight,
            of.mlp.up_weight, of.out_weight, of.qkv_weight, of.latent.kv_up, of.latent.kv_down, of.latent.q_up, of.latent.q_down}) {
        // What all tensor ranks hold is reduced over them too: with the root.
        if (index < 0 || plan_.parameters[static_cast<size_t>(index)].share != Share::kSharded) continue;
        Append(bucket, static_cast<size_t>(index));
        placed_.insert(static_cast<size_t>(index));
      }
      if (bucket.parameters.empty()) continue;
      bucket.name = fmt::format("layer{}", layer);
      plan_.layer_buckets[layer] = plan_.buckets.size();
      plan_.buckets.push_back(std::move(bucket));
    }
  }

  // For parameters like this one.
  Bucket NewBucket(const Parameter& parameter) const {
    Bucket bucket;
    bucket.share = ShareOf(parameter);
    bucket.experts = parameter.experts;
    bucket.frozen = parameter.frozen;
    const bool shards = parameter.frozen ? sharding_.parameters : sharding_.optimizer_state;
    bucket.sharded = shards && (!parameter.experts || expert_shards_ > 1);
    bucket.scattered = sharding_.gradients && !parameter.frozen;
    bucket.gathered = sharding_.parameters;
    return bucket;
  }

  // Without gradients it does not matter who computes which part of them.
  static Share ShareOf(const Parameter& parameter) {
    return parameter.frozen && parameter.share == Share::kPartial ? Share::kReplicated : parameter.share;
  }

  Parameter LikeMatricesOf(const LayerParameters& layer) const {
    Parameter parameter;
    parameter.frozen = layer.norm1_weight >= 0 && plan_.parameters[static_cast<size_t>(layer.norm1_weight)].frozen;
    return parameter;
  }

  void Append(Bucket& bucket, size_t index) {
    bucket.parameters.push_back(static_cast<ParameterIndex>(index));
    bucket.elements += ir::ElementCount(plan_.parameters[index].shape);
  }

  void Put(size_t index) {
    const Parameter& parameter = plan_.parameters[index];
    const bool apart = sharding_.optimizer_state && !parameter.weight_decay() && !parameter.frozen;
    const Key key{parameter.frozen, parameter.tied, ShareOf(parameter), parameter.experts, apart};
    Bucket& bucket = open_.try_emplace(key, NewBucket(parameter)).first->second;
    bucket.tied = parameter.tied;
    Append(bucket, index);
    const bool full = bucket.elements * 4 >= bucket_bytes_ && !sharding_.parameters && !bucket.frozen;
    if (bucket.share == Share::kSharded && !bucket.tied && full) Close(bucket);
  }

  void Close(Bucket& bucket) {
    if (bucket.parameters.empty()) return;
    const Parameter& like = plan_.parameters[static_cast<size_t>(bucket.parameters.front())];
    const bool decay = like.weight_decay() || bucket.frozen;
    const bool numbered = bucket.share == Share::kSharded && !bucket.tied && !sharding_.parameters;
    bucket.name = bucket.frozen                        ? (bucket.share == Share::kSharded ? "frozen" : "frozen_replicated")
                  : bucket.tied                        ? "tied"
                  : bucket.share == Share::kReplicated ? "replicated"
                  : bucket.share == Share::kPartial    ? "partial"
                  : sharding_.parameters               ? "root"
                                                       : fmt::format("{}{}", bucket.experts ? "experts" : "bucket", plan_.buckets.size());
    if (sharding_.optimizer_state && !decay && !numbered) bucket.name += "_no_decay";
    if (sharding_.parameters) plan_.root_buckets.push_back(plan_.buckets.size());
    Bucket next = NewBucket(like);
    plan_.buckets.push_back(std::move(bucket));
    bucket = std::move(next);
  }

  ParameterPlan& plan_;
  int64_t bucket_bytes_;
  Sharding sharding_;
  int64_t expert_shards_;
  std::map<Key, Bucket> open_;
  std::set<size_t> placed_;  // parameters of layers that have buckets of their own
};

// Lays a bucket's parameters out in its one or two segments. `shards`: ranks along `sharded_over`.
void LayOut(ParameterPlan& plan, size_t bucket_index, int64_t shards, const std::vector<std::string>& sharded_over) {
  Bucket& bucket = plan.buckets[bucket_index];
  int64_t gradient_offset = 0;
  for (const bool decay : {true, false}) {
    ir::ParameterSegment segment;
    segment.name = bucket.frozen ? bucket.name : fmt::format("{}.{}", bucket.name, decay ? "decay" : "no_decay");
    segment.weight_decay = decay && !bucket.frozen;
    segment.tensor_replicated = bucket.share != Share::kSharded;
    segment.gradient_offset = gradient_offset;
    for (const ParameterIndex index : bucket.parameters) {
      Parameter& parameter = plan.parameters[static_cast<size_t>(index)];
      if ((parameter.weight_decay() || bucket.frozen) != decay) continue;
      parameter.segment = plan.segments.size();
      parameter.offset = segment.elements;
      for (ParameterPiece piece : parameter.pieces) {
        piece.offset += parameter.offset;
        segment.pieces.push_back(std::move(piece));
      }
      segment.elements += ir::ElementCount(parameter.shape);
      plan.bucket_of[static_cast<size_t>(index)] = bucket_index;
    }
    if (segment.elements == 0) continue;
    if (bucket.sharded) {
      segment.sharded_over = sharded_over;
      segment.gradient_sharded = bucket.scattered;
      segment.elements = (segment.elements + shards - 1) / shards * shards;
      bucket.elements = segment.elements;
    }
    gradient_offset += segment.elements;
    bucket.segments.push_back(plan.segments.size());
    plan.segments.push_back(std::move(segment));
  }
}

}  // namespace

void FillBuckets(const ir::Strategy& strategy, int64_t bucket_bytes, ParameterPlan& plan) {
  const int64_t shards = ir::DataShards(strategy), expert_shards = ir::ExpertShards(strategy);
  const std::vector<std::string> apart = {"data"}, all = ir::DataDimensions(strategy);
  BucketFiller(plan, bucket_bytes, ShardingOf(strategy), expert_shards).Run();
  for (size_t i = 0; i < plan.buckets.size(); ++i) {
    const bool experts = plan.buckets[i].experts;
    LayOut(plan, i, experts ? expert_shards : shards, experts ? apart : all);
  }
}

}  // namespace helm::model
