#include "model/parameter_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/sharding.h"
#include "model/chunks.h"
#include "model/lower.h"

namespace helm::model {

using ir::Initialization;
using ir::ParameterPiece;
using ir::RankExpression;

bool IsGated(Activation activation) { return activation == Activation::kGeGlu || activation == Activation::kSwiGlu; }

std::vector<ParameterIndex> ParametersOf(const LayerParameters& layer) {
  std::vector<ParameterIndex> parameters = {layer.norm1_weight, layer.norm1_bias, layer.qkv_weight,  layer.qkv_bias,     layer.query_norm,
                                            layer.key_norm,     layer.out_weight, layer.out_bias,    layer.norm2_weight, layer.norm2_bias,
                                            layer.up_weight,    layer.up_bias,    layer.down_weight, layer.down_bias};
  std::erase(parameters, -1);
  return parameters;
}

namespace {

// The names that a family's files use (Hugging Face's LlamaForCausalLM and GPT2LMHeadModel).
struct Names {
  std::string embedding, position, final_norm, head, layer;
  std::string norm1, query, key, value, query_norm, key_norm, out, norm2, gate, up, down;
  bool transposed = false;
};

Names NamesOf(Family family) {
  if (family == Family::kLlama) {
    return {"model.embed_tokens",
            "model.embed_positions",
            "model.norm",
            "lm_head",
            "model.layers.",
            "input_layernorm",
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.q_norm",
            "self_attn.k_norm",
            "self_attn.o_proj",
            "post_attention_layernorm",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj",
            false};
  }
  return {"transformer.wte",
          "transformer.wpe",
          "transformer.ln_f",
          "lm_head",
          "transformer.h.",
          "ln_1",
          "attn.c_attn",
          "attn.c_attn",
          "attn.c_attn",
          "attn.q_norm",
          "attn.k_norm",
          "attn.c_proj",
          "ln_2",
          "mlp.c_gate",
          "mlp.c_fc",
          "mlp.c_proj",
          true};
}

// One part of a (possibly fused) linear layer: rows of the named parameter, split by rows over the tensor group.
struct Part {
  std::string name;
  int64_t rows_total = 0;  // of the named parameter in the file
  int64_t row_begin = 0;   // where the part begins in it (GPT-2 keeps query, key and value in one)
  int64_t rows = 0;        // of the part, unsplit
};

class Planner {
 public:
  Planner(const ModelSpec& model, const ir::Strategy& strategy, int64_t stage)
      : model_(model), tensor_(strategy.tensor), chunks_(ChunksOfStage(model, strategy, stage)), names_(NamesOf(model.family)) {
    if (tensor_ > 1) whole_ = strategy.sequence_parallel ? Share::kPartial : Share::kReplicated;
  }

  ParameterPlan Run() {
    const bool embeds = chunks_.front().embedding;
    const bool has_head = std::ranges::any_of(chunks_, &Chunk::head);
    const bool apart = model_.tied_embeddings && embeds != has_head;
    if (has_head && (!model_.tied_embeddings || apart)) {
      plan_.head = Vocabulary("head.weight", (model_.tied_embeddings ? names_.embedding : names_.head) + ".weight");
      plan_.parameters.back().tied = apart;
    }
    if (has_head) AddNorm("final_norm", names_.final_norm, model_.hidden, model_.norm, plan_.final_norm_weight, plan_.final_norm_bias);
    plan_.layers.resize(static_cast<size_t>(model_.layers));
    for (size_t c = chunks_.size(); c-- > 0;) {
      for (int64_t layer = chunks_[c].layer_end - 1; layer >= chunks_[c].layer_begin; --layer) AddLayer(layer);
    }
    if (embeds) AddEmbedding(apart, has_head);
    return std::move(plan_);
  }

 private:
  void AddEmbedding(bool apart, bool has_head) {
    plan_.embedding = Vocabulary("embedding.weight", names_.embedding + ".weight");
    plan_.parameters.back().tied = apart;
    if (model_.tied_embeddings && has_head) {
      plan_.head = plan_.embedding;
      plan_.parameters.back().writes = 2;
    }
    if (model_.position == Position::kLearned) AddPositions();
  }

  // Weights that write into the residual stream start smaller, by 1/sqrt(2 x layers) (GPT-2 paper, section 2.3; Megatron's scaled_init).
  double ResidualDeviation() const { return model_.init_std / std::sqrt(2.0 * static_cast<double>(model_.layers)); }

  void AddLayer(int64_t layer) {
    LayerParameters& at = plan_.layers[static_cast<size_t>(layer)];
    const std::string file = fmt::format("{}{}.", names_.layer, layer);
    const std::string own = fmt::format("layers.{}.", layer);
    const std::vector<Part> up = UpParts(file);
    const std::vector<Part> qkv = QkvParts(file);
    const int64_t width = model_.heads * model_.head_dim;

    at.down_weight = RowSplit(own + "mlp.down.weight", file + names_.down + ".weight", model_.ffn);
    if (model_.bias) at.down_bias = Whole(own + "mlp.down.bias", file + names_.down + ".bias", model_.hidden, Initialization::kZeros);
    at.up_weight = ColumnSplit(own + "mlp.up.weight", up, ".weight");
    if (model_.bias) at.up_bias = ColumnSplit(own + "mlp.up.bias", up, ".bias");
    AddNorm(own + "mlp.norm", file + names_.norm2, model_.hidden, model_.norm, at.norm2_weight, at.norm2_bias);
    at.out_weight = RowSplit(own + "attention.out.weight", file + names_.out + ".weight", width);
    if (model_.bias) at.out_bias = Whole(own + "attention.out.bias", file + names_.out + ".bias", model_.hidden, Initialization::kZeros);
    if (model_.qk_norm) {
      at.query_norm = Whole(own + "attention.query_norm", file + names_.query_norm + ".weight", model_.head_dim, Initialization::kOnes);
      at.key_norm = Whole(own + "attention.key_norm", file + names_.key_norm + ".weight", model_.head_dim, Initialization::kOnes);
      if (tensor_ > 1) {
        plan_.parameters[static_cast<size_t>(at.query_norm)].share = plan_.parameters[static_cast<size_t>(at.key_norm)].share =
            Share::kPartial;
      }
    }
    at.qkv_weight = ColumnSplit(own + "attention.qkv.weight", qkv, ".weight");
    if (model_.bias || model_.attention_bias) at.qkv_bias = ColumnSplit(own + "attention.qkv.bias", qkv, ".bias");
    AddNorm(own + "attention.norm", file + names_.norm1, model_.hidden, model_.norm, at.norm1_weight, at.norm1_bias);
  }

  std::vector<Part> QkvParts(const std::string& file) const {
    const int64_t query = model_.heads * model_.head_dim;
    const int64_t key = model_.kv_heads * model_.head_dim;
    if (names_.query == names_.key) {
      const int64_t all = query + 2 * key;
      const std::string name = file + names_.query;
      return {{name, all, 0, query}, {name, all, query, key}, {name, all, query + key, key}};
    }
    return {{file + names_.query, query, 0, query}, {file + names_.key, key, 0, key}, {file + names_.value, key, 0, key}};
  }

  std::vector<Part> UpParts(const std::string& file) const {
    const Part up{file + names_.up, model_.ffn, 0, model_.ffn};
    if (!IsGated(model_.activation)) return {up};
    return {{file + names_.gate, model_.ffn, 0, model_.ffn}, up};
  }

  ParameterIndex Add(Parameter parameter) {
    plan_.parameters.push_back(std::move(parameter));
    return static_cast<ParameterIndex>(plan_.parameters.size()) - 1;
  }

  // Output rows split over the tensor group: the fused weight [rows / t, hidden] or its bias.
  ParameterIndex ColumnSplit(const std::string& name, const std::vector<Part>& parts, const std::string& suffix) {
    const bool weight = suffix == ".weight";
    Parameter parameter{name, {0}, Share::kSharded, {}, 0, 0};
    if (weight) parameter.shape.push_back(model_.hidden);
    for (const Part& part : parts) {
      ParameterPiece piece;
      piece.name = part.name + suffix;
      piece.global_shape = {part.rows_total};
      piece.box_shape = {part.rows / tensor_};
      piece.box_offset = {{part.row_begin, {{"tensor", part.rows / tensor_}}}};
      piece.offset = ir::ElementCount(parameter.shape);
      if (weight) {
        piece.global_shape.push_back(model_.hidden);
        piece.box_shape.push_back(model_.hidden);
        piece.box_offset.push_back({});
      }
      piece.transposed = weight && names_.transposed;
      piece.initialization = weight ? Initialization::kNormal : Initialization::kZeros;
      piece.standard_deviation = weight ? model_.init_std : 0.0;
      parameter.shape[0] += piece.box_shape[0];
      parameter.pieces.push_back(std::move(piece));
    }
    return Add(std::move(parameter));
  }

  // Input columns split over the tensor group: [hidden, columns / t].
  ParameterIndex RowSplit(const std::string& name, const std::string& file_name, int64_t columns) {
    ParameterPiece piece;
    piece.name = file_name;
    piece.global_shape = {model_.hidden, columns};
    piece.transposed = names_.transposed;
    piece.box_shape = {model_.hidden, columns / tensor_};
    piece.box_offset = {{}, {0, {{"tensor", columns / tensor_}}}};
    piece.standard_deviation = ResidualDeviation();
    return Add({name, piece.box_shape, Share::kSharded, {piece}, 0, 0});
  }

  ParameterIndex Vocabulary(const std::string& name, const std::string& file_name) {
    const int64_t rows = PaddedVocabulary(model_, tensor_) / tensor_;
    ParameterPiece piece;
    piece.name = file_name;
    piece.global_shape = {model_.vocab, model_.hidden};
    piece.box_shape = {rows, model_.hidden};
    piece.box_offset = {{0, {{"tensor", rows}}}, {}};
    piece.standard_deviation = model_.init_std;
    return Add({name, piece.box_shape, Share::kSharded, {piece}, 0, 0});
  }

  ParameterIndex Whole(const std::string& name, const std::string& file_name, int64_t elements, Initialization initialization) {
    ParameterPiece piece;
    piece.name = file_name;
    piece.global_shape = {elements};
    piece.box_shape = {elements};
    piece.box_offset = {{}};
    piece.initialization = initialization;
    return Add({name, {elements}, whole_, {piece}, 0, 0});
  }

  void AddNorm(const std::string& name, const std::string& file_name, int64_t elements, Norm norm, ParameterIndex& weight,
               ParameterIndex& bias) {
    const bool less_one = norm == Norm::kLayerNorm1p;
    weight = Whole(name + ".weight", file_name + ".weight", elements, less_one ? Initialization::kZeros : Initialization::kOnes);
    if (norm != Norm::kRmsNorm) bias = Whole(name + ".bias", file_name + ".bias", elements, Initialization::kZeros);
  }

  void AddPositions() {
    ParameterPiece piece;
    piece.name = names_.position + ".weight";
    piece.global_shape = piece.box_shape = {model_.max_positions, model_.hidden};
    piece.box_offset = {{}, {}};
    piece.standard_deviation = model_.init_std;
    plan_.position = Add({"position.weight", piece.box_shape, whole_, {piece}, 0, 0});
  }

  const ModelSpec& model_;
  int64_t tensor_;
  std::vector<Chunk> chunks_;
  Share whole_ = Share::kSharded;  // of parameters that every rank of the tensor group holds
  Names names_;
  ParameterPlan plan_;
};

// Fills buckets in backward order until each holds at least bucket_bytes of fp32 gradients; what is not split over the tensor group, and
// what two stages share, comes last, in buckets of its own. With ZeRO a bucket is one run of shards, so it holds parameters of one kind:
// with weight decay or without. Where parameters are sharded, a bucket is the matrices of a layer, and what is left is the root.
class BucketFiller {
 public:
  BucketFiller(ParameterPlan& plan, int64_t bucket_bytes, const Sharding& sharding)
      : plan_(plan), bucket_bytes_(bucket_bytes), sharding_(sharding) {}

  void Run() {
    plan_.bucket_of.resize(plan_.parameters.size());
    if (sharding_.parameters) FillLayers();
    for (size_t i = 0; i < plan_.parameters.size(); ++i) {
      if (!placed_.contains(i)) Put(i);
    }
    for (auto& [key, bucket] : open_) Close(bucket);
  }

 private:
  // Order in which what is left over at the end is closed: sharded, replicated, partial, tied; of each with decay first.
  using Key = std::tuple<bool, Share, bool>;  // tied, share, without decay (ZeRO)

  void FillLayers() {
    plan_.layer_buckets.resize(plan_.layers.size());
    for (size_t layer = plan_.layers.size(); layer-- > 0;) {
      const LayerParameters& of = plan_.layers[layer];
      Bucket bucket = NewBucket(Share::kSharded);
      // In the order in which backward completes their gradients.
      for (const ParameterIndex index : {of.down_weight, of.up_weight, of.out_weight, of.qkv_weight}) {
        if (index < 0) continue;
        Append(bucket, static_cast<size_t>(index));
        placed_.insert(static_cast<size_t>(index));
      }
      if (bucket.parameters.empty()) continue;
      bucket.name = fmt::format("layer{}", layer);
      plan_.layer_buckets[layer] = plan_.buckets.size();
      plan_.buckets.push_back(std::move(bucket));
    }
  }

  Bucket NewBucket(Share share) const {
    Bucket bucket;
    bucket.share = share;
    bucket.sharded = sharding_.optimizer_state;
    bucket.scattered = sharding_.gradients;
    bucket.gathered = sharding_.parameters;
    return bucket;
  }

  void Append(Bucket& bucket, size_t index) {
    bucket.parameters.push_back(static_cast<ParameterIndex>(index));
    bucket.elements += ir::ElementCount(plan_.parameters[index].shape);
  }

  void Put(size_t index) {
    const Parameter& parameter = plan_.parameters[index];
    const Key key{parameter.tied, parameter.share, sharding_.optimizer_state && !parameter.weight_decay()};
    Bucket& bucket = open_.try_emplace(key, NewBucket(parameter.share)).first->second;
    bucket.tied = parameter.tied;
    Append(bucket, index);
    const bool full = bucket.elements * 4 >= bucket_bytes_ && !sharding_.parameters;
    if (bucket.share == Share::kSharded && !bucket.tied && full) Close(bucket);
  }

  void Close(Bucket& bucket) {
    if (bucket.parameters.empty()) return;
    const bool decay = plan_.parameters[static_cast<size_t>(bucket.parameters.front())].weight_decay();
    const bool numbered = bucket.share == Share::kSharded && !bucket.tied && !sharding_.parameters;
    bucket.name = bucket.tied                          ? "tied"
                  : bucket.share == Share::kReplicated ? "replicated"
                  : bucket.share == Share::kPartial    ? "partial"
                  : sharding_.parameters               ? "root"
                                                       : fmt::format("bucket{}", plan_.buckets.size());
    if (sharding_.optimizer_state && !decay && !numbered) bucket.name += "_no_decay";
    if (sharding_.parameters) plan_.root_buckets.push_back(plan_.buckets.size());
    const Share share = bucket.share;
    plan_.buckets.push_back(std::move(bucket));
    bucket = NewBucket(share);
  }

  ParameterPlan& plan_;
  int64_t bucket_bytes_;
  Sharding sharding_;
  std::map<Key, Bucket> open_;
  std::set<size_t> placed_;  // parameters of layers that have buckets of their own
};

// Lays a bucket's parameters out in its one or two segments.
void LayOut(ParameterPlan& plan, size_t bucket_index, int64_t shards) {
  Bucket& bucket = plan.buckets[bucket_index];
  int64_t gradient_offset = 0;
  for (const bool decay : {true, false}) {
    ir::ParameterSegment segment;
    segment.name = fmt::format("{}.{}", bucket.name, decay ? "decay" : "no_decay");
    segment.weight_decay = decay;
    segment.tensor_replicated = bucket.share != Share::kSharded;
    segment.gradient_offset = gradient_offset;
    for (const ParameterIndex index : bucket.parameters) {
      Parameter& parameter = plan.parameters[static_cast<size_t>(index)];
      if (parameter.weight_decay() != decay) continue;
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
      segment.sharded_over = "data";
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

Sharding ShardingOf(const ir::Strategy& strategy) {
  if (ir::DataShards(strategy) == 1) return {};
  const bool parameters = ir::ShardsParameters(strategy);
  return {.optimizer_state = strategy.zero >= 1, .gradients = strategy.zero >= 2, .parameters = parameters};
}

ParameterPlan PlanParameters(const ModelSpec& model, const ir::Strategy& strategy, int64_t bucket_bytes, int64_t stage) {
  ParameterPlan plan = Planner(model, strategy, stage).Run();
  BucketFiller(plan, bucket_bytes, ShardingOf(strategy)).Run();
  for (size_t i = 0; i < plan.buckets.size(); ++i) LayOut(plan, i, ir::DataShards(strategy));
  return plan;
}

}  // namespace helm::model
