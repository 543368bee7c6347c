#include "model/parameter_plan.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/sharding.h"
#include "model/chunks.h"
#include "model/lora.h"
#include "model/lower.h"
#include "model/parameter_buckets.h"

namespace helm::model {

using ir::Initialization;
using ir::ParameterPiece;
using ir::RankExpression;

bool IsGated(Activation activation) { return activation == Activation::kGeGlu || activation == Activation::kSwiGlu; }

std::vector<ParameterIndex> ParametersOf(const LayerParameters& layer) {
  std::vector<ParameterIndex> parameters = {layer.norm1_weight,      layer.norm1_bias,         layer.qkv_weight,
                                            layer.qkv_bias,          layer.query_norm,         layer.key_norm,
                                            layer.out_weight,        layer.out_bias,           layer.norm2_weight,
                                            layer.norm2_bias,        layer.mlp.up_weight,      layer.mlp.up_bias,
                                            layer.mlp.down_weight,   layer.mlp.down_bias,      layer.experts.router,
                                            layer.experts.up_weight, layer.shared.up_weight,   layer.experts.down_weight,
                                            layer.shared.up_bias,    layer.shared.down_weight, layer.shared.down_bias};
  const LatentParameters& latent = layer.latent;
  for (const ParameterIndex index : {latent.q_down, latent.q_norm, latent.q_up, latent.kv_down, latent.kv_norm, latent.kv_up}) {
    parameters.push_back(index);
  }
  for (const AdapterParameters* adapter : {&layer.qkv_adapter, &layer.out_adapter, &layer.mlp.up_adapter, &layer.mlp.down_adapter}) {
    parameters.push_back(adapter->a);
    for (const AdapterParameters::Part& part : adapter->parts) parameters.push_back(part.b);
  }
  std::erase(parameters, -1);
  return parameters;
}

namespace {

// The names that a family's files use (Hugging Face's LlamaForCausalLM and GPT2LMHeadModel; experts as transformers 5 keeps them, those of
// a layer in one tensor).
struct Names {
  std::string embedding, position, final_norm, head, layer;
  std::string norm1, query, key, value, query_norm, key_norm, out, norm2, mlp, gate, up, down;
  bool transposed = false;
};

Names NamesOf(Family family) {
  if (family != Family::kGpt) {
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
            "mlp.",
            "gate_proj",
            "up_proj",
            "down_proj",
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
          "mlp.",
          "c_gate",
          "c_fc",
          "c_proj",
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
      : model_(model),
        strategy_(strategy),
        tensor_(strategy.tensor),
        chunks_(ChunksOfStage(model, strategy, stage)),
        names_(NamesOf(model.family)) {
    if (tensor_ > 1) whole_ = strategy.sequence_parallel ? Share::kPartial : Share::kReplicated;
  }

  ParameterPlan Run() {
    const bool embeds = chunks_.front().embedding;
    const bool has_head = std::ranges::any_of(chunks_, &Chunk::head);
    const bool apart = model_.tied_embeddings && embeds != has_head;
    if (has_head && (!model_.tied_embeddings || apart)) {
      plan_.head = Vocabulary("head.weight", (model_.tied_embeddings ? names_.embedding : names_.head) + ".weight");
      plan_.parameters.back().tied = apart && !frozen();
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
    plan_.parameters.back().tied = apart && !frozen();
    if (model_.tied_embeddings && has_head) {
      plan_.head = plan_.embedding;
      plan_.parameters.back().writes = 2;
    }
    if (model_.position == Position::kLearned) AddPositions();
  }

  bool frozen() const { return model_.lora.rank > 0; }

  // Weights that write into the residual stream start smaller, by 1/sqrt(2 x layers) (GPT-2 paper, section 2.3; Megatron's scaled_init).
  double ResidualDeviation() const { return model_.init_std / std::sqrt(2.0 * static_cast<double>(model_.layers)); }

  void AddLayer(int64_t layer) {
    LayerParameters& at = plan_.layers[static_cast<size_t>(layer)];
    const std::string file = fmt::format("{}{}.", names_.layer, layer);
    const std::string own = fmt::format("layers.{}.", layer);
    const bool latent = model_.mla.kv_lora > 0;
    const int64_t width = model_.heads * (latent ? model_.mla.v : model_.head_dim);

    if (HasExperts(model_, layer)) {
      at.experts = AddExperts(own + "moe.", file + "mlp.");
      if (model_.moe.shared_ffn > 0) at.shared = AddMlp(own + "moe.shared.", file + "mlp.shared_experts.", model_.moe.shared_ffn);
    } else {
      at.mlp = AddMlp(own + "mlp.", file + names_.mlp, model_.ffn);
    }
    AddNorm(own + "mlp.norm", file + names_.norm2, model_.hidden, model_.norm, at.norm2_weight, at.norm2_bias);
    at.out_adapter = RowAdapter(own + "attention.out.", file + names_.out, width);
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
    if (latent) {
      at.latent = AddLatent(own + "attention.", file + "self_attn.");
    } else {
      AddQkv(own, file, at);
    }
    AddNorm(own + "attention.norm", file + names_.norm1, model_.hidden, model_.norm, at.norm1_weight, at.norm1_bias);
  }

  void AddQkv(const std::string& own, const std::string& file, LayerParameters& at) {
    const std::vector<Part> qkv = QkvParts(file);
    at.qkv_adapter = ColumnAdapter(own + "attention.qkv.", qkv);
    at.qkv_weight = ColumnSplit(own + "attention.qkv.weight", qkv, ".weight");
    if (model_.bias || model_.attention_bias) at.qkv_bias = ColumnSplit(own + "attention.qkv.bias", qkv, ".bias");
  }

  // DeepSeek's names.
  LatentParameters AddLatent(const std::string& own, const std::string& file) {
    const LatentAttention& mla = model_.mla;
    const auto norm = [&](const char* name, const char* of, int64_t width) {
      return Whole(own + name, file + of + ".weight", width, Initialization::kOnes);
    };
    const auto heads = [&](const char* name, const char* of, int64_t width, int64_t columns) {
      const int64_t rows = model_.heads * width;
      return ColumnSplit(own + name, {{file + of, rows, 0, rows}}, ".weight", columns);
    };
    LatentParameters at;
    at.kv_up = heads("kv_up.weight", "kv_b_proj", mla.qk_nope + mla.v, mla.kv_lora);
    at.kv_norm = norm("kv_norm.weight", "kv_a_layernorm", mla.kv_lora);
    at.kv_down = WholeMatrix(own + "kv_down.weight", file + "kv_a_proj_with_mqa.weight", mla.kv_lora + mla.qk_rope);
    const int64_t query = mla.qk_nope + mla.qk_rope;
    if (mla.q_lora == 0) {
      at.q_up = heads("q_up.weight", "q_proj", query, model_.hidden);
      return at;
    }
    at.q_up = heads("q_up.weight", "q_b_proj", query, mla.q_lora);
    at.q_norm = norm("q_norm.weight", "q_a_layernorm", mla.q_lora);
    at.q_down = WholeMatrix(own + "q_down.weight", file + "q_a_proj.weight", mla.q_lora);
    return at;
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

  MlpParameters AddMlp(const std::string& own, const std::string& file, int64_t ffn) {
    MlpParameters mlp;
    std::vector<Part> up = {{file + names_.up, ffn, 0, ffn}};
    if (IsGated(model_.activation)) up.insert(up.begin(), Part{file + names_.gate, ffn, 0, ffn});
    mlp.down_adapter = RowAdapter(own + "down.", file + names_.down, ffn);
    mlp.down_weight = RowSplit(own + "down.weight", file + names_.down + ".weight", ffn);
    if (model_.bias) mlp.down_bias = Whole(own + "down.bias", file + names_.down + ".bias", model_.hidden, Initialization::kZeros);
    mlp.up_adapter = ColumnAdapter(own + "up.", up);
    mlp.up_weight = ColumnSplit(own + "up.weight", up, ".weight");
    if (model_.bias) mlp.up_bias = ColumnSplit(own + "up.bias", up, ".bias");
    return mlp;
  }

  ExpertParameters AddExperts(const std::string& own, const std::string& file) {
    const MixtureOfExperts& moe = model_.moe;
    const int64_t experts = moe.experts / strategy_.expert, ffn = moe.ffn / strategy_.expert_tensor;
    ParameterPiece down;
    down.name = file + "experts.down_proj";
    down.global_shape = {moe.experts, model_.hidden, moe.ffn};
    down.box_shape = {experts, model_.hidden, ffn};
    down.box_offset = {FirstExpert(experts), {}, FirstFeature(ffn)};
    down.standard_deviation = ResidualDeviation();
    ExpertParameters at;
    at.down_weight = AddOfExperts({own + "down.weight", down.box_shape, Share::kSharded, {down}, 0, 0});
    const int64_t rows = IsGated(model_.activation) ? 2 * ffn : ffn;
    at.up_weight = AddOfExperts({own + "up.weight", {experts, rows, model_.hidden}, Share::kSharded, ExpertUpPieces(file), 0, 0});
    at.router = WholeMatrix(own + "router.weight", file + "gate.weight", moe.experts);
    return at;
  }

  // Gate and up of each expert follow each other, so that a split of their rows leaves a box for each of the two.
  std::vector<ParameterPiece> ExpertUpPieces(const std::string& file) const {
    const bool gated = IsGated(model_.activation);
    const int64_t experts = model_.moe.experts / strategy_.expert, ffn = model_.moe.ffn / strategy_.expert_tensor;
    const int64_t halves = gated ? 2 : 1;
    ParameterPiece piece;
    piece.name = file + (gated ? "experts.gate_up_proj" : "experts.up_proj");
    piece.global_shape = {model_.moe.experts, halves * model_.moe.ffn, model_.hidden};
    piece.standard_deviation = model_.init_std;
    piece.box_offset = {FirstExpert(experts), {}, {}};
    piece.box_shape = {experts, halves * ffn, model_.hidden};
    if (strategy_.expert_tensor == 1) return {piece};
    std::vector<ParameterPiece> pieces;
    piece.box_shape = {1, ffn, model_.hidden};
    for (int64_t i = 0; i < experts * halves; ++i) {
      piece.box_offset[0].constant = i / halves;
      piece.box_offset[1] = FirstFeature(ffn);
      piece.box_offset[1].constant = i % halves * model_.moe.ffn;
      piece.offset = i * ffn * model_.hidden;
      pieces.push_back(piece);
    }
    return pieces;
  }

  // The number of this rank's first expert, with `experts` on each.
  RankExpression FirstExpert(int64_t experts) const {
    RankExpression first;
    for (const std::string& dimension : ir::ExpertDimensions(strategy_)) {
      first.terms.push_back({dimension, experts});
      experts *= dimension == "tensor" ? strategy_.tensor : strategy_.context;  // "expert" is the last
    }
    return first;
  }

  // The first of an expert's features on this rank, with `ffn` on each.
  RankExpression FirstFeature(int64_t ffn) const {
    return strategy_.expert_tensor > 1 ? RankExpression{0, {{"tensor", ffn}}} : RankExpression{};
  }

  ParameterIndex AddOfExperts(Parameter parameter) {
    parameter.experts = strategy_.expert > 1;
    return Add(std::move(parameter));
  }

  // All but adapters.
  ParameterIndex Add(Parameter parameter) {
    parameter.frozen = frozen();
    return AddTrained(std::move(parameter));
  }
  ParameterIndex AddTrained(Parameter parameter) {
    plan_.parameters.push_back(std::move(parameter));
    return static_cast<ParameterIndex>(plan_.parameters.size()) - 1;
  }

  // PEFT's names, and its initial values: A as wide as uniform values within 1 / sqrt(inputs) are, B zero.
  ParameterPiece AdapterPiece(const std::string& layer, bool is_a, ir::Shape shape) const {
    ParameterPiece piece;
    piece.name = fmt::format("base_model.model.{}.lora_{}.weight", layer, is_a ? "A" : "B");
    piece.initialization = is_a ? Initialization::kNormal : Initialization::kZeros;
    piece.standard_deviation = is_a ? 1.0 / std::sqrt(3.0 * static_cast<double>(shape.back())) : 0.0;
    piece.global_shape = piece.box_shape = std::move(shape);
    piece.box_offset = {{}, {}};
    return piece;
  }

  // Of what every rank holds and computes a part of the gradient of.
  Share PartialShare() const { return tensor_ > 1 ? Share::kPartial : Share::kSharded; }

  // Beside the fused weight of `parts`: those that a file keeps in one layer follow each other and share an adapter.
  AdapterParameters ColumnAdapter(const std::string& own, const std::vector<Part>& parts) {
    const int64_t rank = model_.lora.rank;
    AdapterParameters adapter;
    Parameter a{own + "lora_A", {0, model_.hidden}, PartialShare(), {}};
    int64_t begin = 0;  // of the part in the output
    for (size_t i = 0; i < parts.size(); begin += parts[i++].rows / tensor_) {
      if (!HasAdapter(model_, parts[i].name)) continue;
      if (i == 0 || parts[i - 1].name != parts[i].name) {
        a.pieces.push_back(AdapterPiece(parts[i].name, true, {rank, model_.hidden}));
        a.pieces.back().offset = ir::ElementCount(a.shape);
        a.shape[0] += rank;
        const std::string name = fmt::format("{}lora_B.{}", own, adapter.parts.size());
        adapter.parts.push_back({AddTrained({name, {0, rank}, Share::kSharded, {}}), begin, begin});
      }
      AddRows(parts[i], adapter.parts.back());
    }
    if (!adapter.parts.empty()) adapter.a = AddTrained(std::move(a));
    return adapter;
  }

  // Of a part's B.
  void AddRows(const Part& part, AdapterParameters::Part& adapter) {
    const int64_t rows = part.rows / tensor_;
    Parameter& b = plan_.parameters[static_cast<size_t>(adapter.b)];
    ParameterPiece piece = AdapterPiece(part.name, false, {part.rows_total, model_.lora.rank});
    piece.box_shape[0] = rows;
    piece.box_offset[0] = {part.row_begin, {{"tensor", rows}}};
    piece.offset = ir::ElementCount(b.shape);
    b.shape[0] += rows;
    b.pieces.push_back(std::move(piece));
    adapter.out_end += rows;
  }

  AdapterParameters RowAdapter(const std::string& own, const std::string& layer, int64_t columns) {
    if (!HasAdapter(model_, layer)) return {};
    const int64_t rank = model_.lora.rank;
    const ParameterPiece b = AdapterPiece(layer, false, {model_.hidden, rank});
    ParameterPiece a = AdapterPiece(layer, true, {rank, columns});
    a.box_shape[1] = columns / tensor_;
    a.box_offset[1] = {0, {{"tensor", columns / tensor_}}};
    AdapterParameters adapter;
    adapter.parts = {{AddTrained({own + "lora_B", b.box_shape, PartialShare(), {b}}), 0, model_.hidden}};
    adapter.a = AddTrained({own + "lora_A", a.box_shape, Share::kSharded, {a}});
    return adapter;
  }

  // Output rows split over the tensor group: the fused weight [rows / t, columns] or its bias.
  ParameterIndex ColumnSplit(const std::string& name, const std::vector<Part>& parts, const std::string& suffix) {
    return ColumnSplit(name, parts, suffix, model_.hidden);
  }
  ParameterIndex ColumnSplit(const std::string& name, const std::vector<Part>& parts, const std::string& suffix, int64_t columns) {
    const bool weight = suffix == ".weight";
    Parameter parameter{name, {0}, Share::kSharded, {}, 0, 0};
    if (weight) parameter.shape.push_back(columns);
    for (const Part& part : parts) {
      ParameterPiece piece;
      piece.name = part.name + suffix;
      piece.global_shape = {part.rows_total};
      piece.box_shape = {part.rows / tensor_};
      piece.box_offset = {{part.row_begin, {{"tensor", part.rows / tensor_}}}};
      piece.offset = ir::ElementCount(parameter.shape);
      if (weight) {
        piece.global_shape.push_back(columns);
        piece.box_shape.push_back(columns);
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

  // [rows, hidden], on every rank of the tensor group.
  ParameterIndex WholeMatrix(const std::string& name, const std::string& file_name, int64_t rows) {
    ParameterPiece piece;
    piece.name = file_name;
    piece.global_shape = piece.box_shape = {rows, model_.hidden};
    piece.box_offset = {{}, {}};
    piece.standard_deviation = model_.init_std;
    return Add({name, piece.box_shape, whole_, {piece}, 0, 0});
  }

  void AddNorm(const std::string& name, const std::string& file_name, int64_t elements, Norm norm, ParameterIndex& weight,
               ParameterIndex& bias) {
    const bool less_one = IsLessOne(norm);
    weight = Whole(name + ".weight", file_name + ".weight", elements, less_one ? Initialization::kZeros : Initialization::kOnes);
    if (!IsRmsNorm(norm)) bias = Whole(name + ".bias", file_name + ".bias", elements, Initialization::kZeros);
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
  const ir::Strategy& strategy_;
  int64_t tensor_;
  std::vector<Chunk> chunks_;
  Share whole_ = Share::kSharded;  // of parameters that every rank of the tensor group holds
  Names names_;
  ParameterPlan plan_;
};

}  // namespace

bool IsOfOneLayer(const ParameterPlan& plan, size_t bucket) {
  return !plan.root_buckets.empty() && std::ranges::find(plan.root_buckets, bucket) == plan.root_buckets.end();
}

Sharding ShardingOf(const ir::Strategy& strategy) {
  if (ir::DataShards(strategy) == 1) return {};
  const bool parameters = ir::ShardsParameters(strategy);
  return {.optimizer_state = strategy.zero >= 1, .gradients = strategy.zero >= 2, .parameters = parameters};
}

int64_t BucketBytes(const ir::Software& software, const ir::Strategy& strategy) {
  constexpr int64_t kWide = 4, kNarrow = 2;
  const int64_t elements =
      std::max(software.gradient_bucket_elements, software.gradient_bucket_elements_per_rank * ir::DataShards(strategy));
  if (elements > 0) return elements * kWide;
  return software.gradient_bucket_bytes / (software.gradients == ir::Precision::kCompute ? kNarrow : kWide) * kWide;
}

ParameterPlan PlanParameters(const ModelSpec& model, const ir::Strategy& strategy, int64_t bucket_bytes, int64_t stage) {
  ParameterPlan plan = Planner(model, strategy, stage).Run();
  FillBuckets(strategy, bucket_bytes, plan);
  return plan;
}

}  // namespace helm::model
