#include "exporter/megatron_model.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "core/text.h"
#include "model/lower.h"

namespace helm::exporter {
namespace {

using model::Activation;
using model::ModelSpec;
using model::Norm;
using model::Position;
using model::RopeScaling;

// Megatron pads the vocabulary to a multiple of this times the tensor degree (arguments.py: make_vocab_size_divisible_by).
int64_t VocabularyMultiple(const ModelSpec& model, int64_t tensor) {
  constexpr int64_t kUsual = 128;
  const int64_t unit = kUsual * tensor, rows = model::PaddedVocabulary(model, tensor), padded = rows / tensor;
  if ((model.vocab + unit - 1) / unit * unit == rows) return kUsual;
  return model.padded_vocab > model.vocab ? padded : std::gcd<int64_t>(128, padded);
}

// Which layers have experts, as Python: ([0]*3+[1]*58).
std::string LayerPattern(const ModelSpec& model) {
  std::vector<std::string> runs;
  for (int64_t layer = 0; layer < model.layers;) {
    int64_t end = layer;
    while (end < model.layers && model::HasExperts(model, end) == model::HasExperts(model, layer)) ++end;
    runs.push_back(fmt::format("[{}]*{}", model::HasExperts(model, layer) ? 1 : 0, end - layer));
    layer = end;
  }
  return "(" + Join(runs, "+") + ")";
}

void AddExperts(const ModelSpec& model, OptionList& options) {
  const model::MixtureOfExperts& moe = model.moe;
  options.Add("--num-experts", moe.experts);
  options.Add("--moe-router-topk", moe.top_k);
  options.Add("--moe-ffn-hidden-size", moe.ffn);
  if (moe.shared_ffn > 0) options.Add("--moe-shared-expert-intermediate-size", moe.shared_ffn);
  options.Add("--moe-layer-freq", LayerPattern(model));
  options.Add("--moe-router-load-balancing-type", moe.aux_loss > 0 ? "aux_loss" : "none");
  if (moe.aux_loss > 0) options.Add("--moe-aux-loss-coeff", moe.aux_loss);
  if (moe.capacity_factor > 0) options.Add("--moe-expert-capacity-factor", moe.capacity_factor);
  options.FlagIf(moe.pad_to_capacity, "--moe-pad-expert-input-to-capacity");
}

// The dense layers and the frequency that give this pattern.
void TakePattern(const std::string& pattern, ModelSpec& model) {
  for (model.moe.dense_layers = 0; model.moe.dense_layers <= model.layers; ++model.moe.dense_layers) {
    for (model.moe.layer_freq = 1; model.moe.layer_freq <= model.layers; ++model.moe.layer_freq) {
      if (LayerPattern(model) == pattern) return;
    }
  }
}

void TakeExperts(OptionList& options, ModelSpec& model) {
  model.moe = {};
  model.moe.experts = options.TakeInt("--num-experts", 0);
  if (model.moe.experts == 0) return;
  model.moe.top_k = options.TakeInt("--moe-router-topk");
  model.moe.ffn = options.TakeInt("--moe-ffn-hidden-size");
  model.moe.shared_ffn = options.TakeInt("--moe-shared-expert-intermediate-size", 0);
  options.Take("--moe-router-load-balancing-type");
  model.moe.aux_loss = options.TakeDouble("--moe-aux-loss-coeff", 0);
  model.moe.capacity_factor = options.TakeDouble("--moe-expert-capacity-factor", 0);
  model.moe.pad_to_capacity = options.TakeFlag("--moe-pad-expert-input-to-capacity");
  TakePattern(options.Take("--moe-layer-freq").value_or(""), model);
}

void AddAttention(const ModelSpec& model, OptionList& options) {
  options.Add("--num-attention-heads", model.heads);
  if (model.mla.kv_lora > 0) {
    options.Flag("--multi-latent-attention");
    if (model.mla.q_lora > 0) options.Add("--q-lora-rank", model.mla.q_lora);
    options.Add("--kv-lora-rank", model.mla.kv_lora);
    options.Add("--qk-head-dim", model.mla.qk_nope);
    options.Add("--qk-pos-emb-head-dim", model.mla.qk_rope);
    options.Add("--v-head-dim", model.mla.v);
    options.Flag("--qk-layernorm");  // the norms of the compressed vectors
    return;
  }
  options.Add("--kv-channels", model.head_dim);
  if (model.kv_heads != model.heads) {
    options.Flag("--group-query-attention");
    options.Add("--num-query-groups", model.kv_heads);
  }
  options.FlagIf(model.qk_norm, "--qk-layernorm");
}

void TakeAttention(OptionList& options, ModelSpec& model) {
  model.heads = options.TakeInt("--num-attention-heads");
  model.mla = {};
  if (options.TakeFlag("--multi-latent-attention")) {
    model.mla.q_lora = options.TakeInt("--q-lora-rank", 0);
    model.mla.kv_lora = options.TakeInt("--kv-lora-rank");
    model.mla.qk_nope = options.TakeInt("--qk-head-dim");
    model.mla.qk_rope = options.TakeInt("--qk-pos-emb-head-dim");
    model.mla.v = options.TakeInt("--v-head-dim");
    options.TakeFlag("--qk-layernorm");
    return;  // kv_heads and head_dim, which latent attention does not read, stay
  }
  model.head_dim = options.TakeInt("--kv-channels");
  const bool grouped = options.TakeFlag("--group-query-attention");
  model.kv_heads = grouped ? options.TakeInt("--num-query-groups") : model.heads;
  model.qk_norm = options.TakeFlag("--qk-layernorm");
}

void AddLayers(const ModelSpec& model, OptionList& options) {
  options.FlagIf(model.activation == Activation::kSwiGlu, "--swiglu");
  options.FlagIf(model.activation == Activation::kSquaredRelu, "--squared-relu");
  if (IsRmsNorm(model.norm)) options.Add("--normalization", "RMSNorm");
  options.FlagIf(IsLessOne(model.norm), "--apply-layernorm-1p");
  options.Add("--norm-epsilon", model.norm_epsilon);
  options.FlagIf(!model.bias, "--disable-bias-linear");
  options.FlagIf(model.attention_bias, "--add-qkv-bias");
  options.FlagIf(!model.tied_embeddings, "--untie-embeddings-and-output-weights");
  if (model.position == Position::kRope) {
    options.Add("--position-embedding-type", "rope");
    options.Add("--rotary-base", model.rope_theta);
    // megatron/core/models/common/embeddings/rotary_pos_embedding.py, _apply_scaling: the numbers but the factor are fixed.
    if (model.rope_scaling.type == RopeScaling::Type::kLlama3) {
      options.Flag("--use-rope-scaling");
      options.Add("--rope-scaling-factor", model.rope_scaling.factor);
    }
  } else {
    options.Add("--position-embedding-type", model.position == Position::kLearned ? "learned_absolute" : "none");
  }
}

void TakeLayers(OptionList& options, ModelSpec& model) {
  model.activation = Activation::kGelu;
  if (options.TakeFlag("--swiglu")) model.activation = Activation::kSwiGlu;
  if (options.TakeFlag("--squared-relu")) model.activation = Activation::kSquaredRelu;
  model.norm = options.Take("--normalization") ? Norm::kRmsNorm : Norm::kLayerNorm;
  if (options.TakeFlag("--apply-layernorm-1p")) model.norm = IsRmsNorm(model.norm) ? Norm::kRmsNorm1p : Norm::kLayerNorm1p;
  model.norm_epsilon = options.TakeDouble("--norm-epsilon", 1e-5);
  model.bias = !options.TakeFlag("--disable-bias-linear");
  model.attention_bias = options.TakeFlag("--add-qkv-bias");
  model.tied_embeddings = !options.TakeFlag("--untie-embeddings-and-output-weights");
  const std::string position = options.Take("--position-embedding-type").value_or("learned_absolute");
  model.position = position == "rope" ? Position::kRope : position == "none" ? Position::kNone : Position::kLearned;
  model.rope_theta = options.TakeDouble("--rotary-base", model.rope_theta);
  model.rope_scaling = {};
  if (options.TakeFlag("--use-rope-scaling")) model.rope_scaling = model::Llama3RopeScaling(options.TakeDouble("--rope-scaling-factor", 8));
}

}  // namespace

void RefuseForMegatron(const ModelSpec& model, const ir::Strategy& strategy, Refusals& refusals) {
  refusals.If(model.activation == Activation::kGeGlu, "model.activation geglu", "its gated activations are --swiglu and --quick-geglu");
  refusals.If(model.scaled_embeddings, "model.scaled_embeddings", "pretrain_gpt.py has no option for them");
  const bool scaled = model.position == Position::kRope && model.rope_scaling.type != RopeScaling::Type::kNone;
  refusals.If(
      scaled && model.rope_scaling != model::Llama3RopeScaling(model.rope_scaling.factor), "model.rope_scaling",
      "of scaled rotary positions it has Llama 3.1's: llama3 with low_freq_factor 1, high_freq_factor 4 and 8192 original positions");
  refusals.If(model.moe.experts > 0 && strategy.tensor > 1 && !strategy.sequence_parallel,
              fmt::format("strategy.tensor {} without sequence_parallel for a model with experts", strategy.tensor),
              "it trains experts with tensor parallelism only with --sequence-parallel");
  refusals.If(model.moe.experts > 0 && model.moe.experts % strategy.expert != 0, "experts that strategy.expert does not divide",
              "each rank holds as many");
}

void AddMegatronModel(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy, OptionList& options) {
  options.Add("--num-layers", model.layers);
  options.Add("--hidden-size", model.hidden);
  options.Add("--ffn-hidden-size", model.ffn);
  AddAttention(model, options);
  // arguments.py: at least seq-length; rotary positions do not end.
  const int64_t positions =
      model.position == Position::kLearned ? model.max_positions : std::max(model.max_positions, workload.sequence_length);
  options.Add("--max-position-embeddings", positions);
  options.Add("--vocab-size", model.vocab);
  options.Add("--make-vocab-size-divisible-by", VocabularyMultiple(model, strategy.tensor));
  options.Add("--init-method-std", model.init_std);
  AddLayers(model, options);
  if (model.moe.experts > 0) AddExperts(model, options);
}

void TakeMegatronModel(OptionList& options, const ir::Strategy& strategy, ModelSpec& model) {
  model.layers = options.TakeInt("--num-layers");
  model.hidden = options.TakeInt("--hidden-size");
  model.ffn = options.TakeInt("--ffn-hidden-size");
  TakeAttention(options, model);
  model.max_positions = options.TakeInt("--max-position-embeddings");
  model.vocab = options.TakeInt("--vocab-size");
  const int64_t unit = std::max<int64_t>(1, options.TakeInt("--make-vocab-size-divisible-by", 128)) * strategy.tensor;
  model.padded_vocab = (model.vocab + unit - 1) / unit * unit;
  model.init_std = options.TakeDouble("--init-method-std", 0.02);
  TakeLayers(options, model);
  TakeExperts(options, model);
}

}  // namespace helm::exporter
