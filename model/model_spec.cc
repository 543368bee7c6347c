#include "model/model_spec.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "core/text.h"
#include "model/lora.h"

namespace helm::model {

std::string_view Name(Family family) {
  switch (family) {
    case Family::kGpt:
      return "gpt";
    case Family::kLlama:
      return "llama";
    case Family::kMoe:
      return "moe";
  }
  HELM_CHECK(false, "a family");
}

std::string_view Name(Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return "gelu";
    case Activation::kGeGlu:
      return "geglu";
    case Activation::kSwiGlu:
      return "swiglu";
    case Activation::kSquaredRelu:
      return "squared_relu";
  }
  HELM_CHECK(false, "an activation");
}

std::string_view Name(Norm norm) {
  switch (norm) {
    case Norm::kLayerNorm:
      return "layernorm";
    case Norm::kLayerNorm1p:
      return "layernorm1p";
    case Norm::kRmsNorm:
      return "rmsnorm";
    case Norm::kRmsNorm1p:
      return "rmsnorm1p";
  }
  HELM_CHECK(false, "a norm");
}

bool IsRmsNorm(Norm norm) { return norm == Norm::kRmsNorm || norm == Norm::kRmsNorm1p; }
bool IsLessOne(Norm norm) { return norm == Norm::kLayerNorm1p || norm == Norm::kRmsNorm1p; }

std::string_view Name(Position position) {
  switch (position) {
    case Position::kLearned:
      return "learned";
    case Position::kRope:
      return "rope";
    case Position::kAlibi:
      return "alibi";
    case Position::kNone:
      return "none";
  }
  HELM_CHECK(false, "a position embedding");
}

namespace {

bool IsGatedActivation(const ModelSpec& model) { return model.activation == Activation::kSwiGlu || model.activation == Activation::kGeGlu; }

int64_t NormParameters(const ModelSpec& model, int64_t width) { return IsRmsNorm(model.norm) ? width : 2 * width; }

// Elements of the attention's projections, without biases: query, key, value and output; latent attention compresses them
// (DeepSeek-V2, arXiv 2405.04434, section 2.1).
int64_t AttentionWeights(const ModelSpec& model) {
  const int64_t h = model.hidden, heads = model.heads;
  const LatentAttention& mla = model.mla;
  if (mla.kv_lora == 0) return h * (model.heads + 2 * model.kv_heads) * model.head_dim + h * heads * model.head_dim;
  const int64_t query_width = heads * (mla.qk_nope + mla.qk_rope);
  const int64_t query = mla.q_lora > 0 ? mla.q_lora * (h + query_width) : h * query_width;
  return query + h * (mla.kv_lora + mla.qk_rope) + mla.kv_lora * heads * (mla.qk_nope + mla.v) + heads * mla.v * h;
}

int64_t AttentionParameterCount(const ModelSpec& model) {
  int64_t count = AttentionWeights(model);
  const int64_t qkv = (model.heads + 2 * model.kv_heads) * model.head_dim;
  if (model.bias) count += qkv + model.hidden;
  if (model.attention_bias && !model.bias) count += qkv;
  if (model.qk_norm) count += 2 * model.head_dim;
  if (model.mla.kv_lora > 0) count += model.mla.kv_lora + model.mla.q_lora;  // norms of the compressed vectors
  return count;
}

int64_t GateFactor(const ModelSpec& model) { return IsGatedActivation(model) ? 2 : 1; }

// Of one feed-forward network of this width.
int64_t MlpParameterCount(const ModelSpec& model, int64_t ffn) {
  const int64_t up = ffn * GateFactor(model);
  return model.hidden * (up + ffn) + (model.bias ? up + model.hidden : 0);
}

// With so many of the routed experts.
int64_t LayerParameterCount(const ModelSpec& model, int64_t layer, int64_t routed) {
  const int64_t common = AttentionParameterCount(model) + 2 * NormParameters(model, model.hidden);
  if (!HasExperts(model, layer)) return common + MlpParameterCount(model, model.ffn);
  const MixtureOfExperts& moe = model.moe;
  const int64_t shared = moe.shared_ffn > 0 ? MlpParameterCount(model, moe.shared_ffn) : 0;
  return common + model.hidden * moe.experts + routed * MlpParameterCount(model, moe.ffn) + shared;
}

// Multiply-adds of a token in the layer's products, the attention core apart: only the experts it goes to.
int64_t ActiveWeights(const ModelSpec& model, int64_t layer) {
  const auto mlp = [&](int64_t ffn) { return model.hidden * ffn * (GateFactor(model) + 1); };
  if (!HasExperts(model, layer)) return AttentionWeights(model) + mlp(model.ffn);
  const MixtureOfExperts& moe = model.moe;
  return AttentionWeights(model) + model.hidden * moe.experts + moe.top_k * mlp(moe.ffn) + mlp(moe.shared_ffn);
}

double LatentWidth(const LatentAttention& mla) {
  return 2 * static_cast<double>(mla.qk_nope) + static_cast<double>(mla.qk_rope) + static_cast<double>(mla.v);
}

constexpr int64_t kLayersMost = int64_t{1} << 16;
constexpr double kMatrixElementsMost = 0x1p40;  // more than a program's text can state (ir/text_values.h)

// Sizes that no model has: whoever gives them has made a slip, and the products of larger ones would not fit 64 bits.
void CheckUpperEnds(const ModelSpec& model, const std::function<void(bool, std::string)>& require) {
  require(model.layers <= kLayersMost, fmt::format("model layers is {}; allowed: 1 to {}", model.layers, kLayersMost));
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  const bool learned = model.position == Position::kLearned;
  const std::pair<const char*, double> widths[] = {{"ffn", 2 * number(model.ffn)},
                                                   {"vocab", number(std::max(model.vocab, model.padded_vocab))},
                                                   {"heads x head_dim", 3 * number(model.heads) * number(model.head_dim)},
                                                   {"max_positions", learned ? number(model.max_positions) : 0},
                                                   {"heads x mla widths", number(model.heads) * LatentWidth(model.mla)},
                                                   {"mla.q_lora", number(model.mla.q_lora)},
                                                   {"mla.kv_lora", number(model.mla.kv_lora)},
                                                   {"moe.shared_ffn", 2 * number(model.moe.shared_ffn)},
                                                   {"moe.experts x moe.ffn", 2 * number(model.moe.experts) * number(model.moe.ffn)}};
  for (const auto& [name, width] : widths) {
    require(number(model.hidden) * width <= kMatrixElementsMost,
            fmt::format("model hidden {} and {} make a matrix of more than 2^40 elements; give smaller sizes", model.hidden, name));
  }
}

void CheckExperts(const ModelSpec& model, const std::function<void(bool, std::string)>& require) {
  const MixtureOfExperts& moe = model.moe;
  if (moe.experts == 0) {
    require(model.family != Family::kMoe, "model family moe needs `moe: {experts: ..., top_k: ..., ffn: ...}`");
    return;
  }
  require(moe.top_k >= 1 && moe.top_k <= moe.experts,
          fmt::format("model moe.top_k is {}; it must be from 1 to moe.experts {}", moe.top_k, moe.experts));
  require(moe.ffn >= 1, fmt::format("model moe.ffn is {}; it must be at least 1", moe.ffn));
  require(moe.dense_layers <= model.layers, fmt::format("model moe.dense_layers {} exceeds layers {}", moe.dense_layers, model.layers));
}

void CheckPositions(const ModelSpec& model, const std::function<void(bool, std::string)>& require) {
  const bool yarn = model.position == Position::kRope && model.rope_scaling.type == RopeScaling::Type::kYarn;
  require(!yarn || model.rope_theta > 1, fmt::format("model rope_scaling yarn needs a rope_theta above 1, not {}", model.rope_theta));
}

void CheckLatentAttention(const ModelSpec& model, const std::function<void(bool, std::string)>& require) {
  const LatentAttention& mla = model.mla;
  if (mla.kv_lora == 0) return;
  require(model.norm == Norm::kRmsNorm, "model mla needs norm: rmsnorm");
  require(model.position == Position::kRope, "model mla needs position: rope");
  require(mla.qk_rope > 0 && mla.qk_rope % 2 == 0, fmt::format("model mla.qk_rope {} is not an even number above 0", mla.qk_rope));
  require(mla.v <= mla.qk_nope + mla.qk_rope,
          fmt::format("model mla.v {} is wider than a query, qk_nope + qk_rope = {}", mla.v, mla.qk_nope + mla.qk_rope));
  require(!model.bias && !model.attention_bias && !model.qk_norm, "model mla has no bias, attention_bias or qk_norm");
  require(model.kv_heads == model.heads, fmt::format("model mla has as many kv_heads as heads {}, not {}", model.heads, model.kv_heads));
}

}  // namespace

bool HasExperts(const ModelSpec& model, int64_t layer) {
  if (model.moe.experts == 0 || layer < model.moe.dense_layers) return false;
  return (layer - model.moe.dense_layers) % model.moe.layer_freq == 0;
}

bool HasDenseLayers(const ModelSpec& model) {
  return model.moe.experts == 0 || std::min(model.moe.dense_layers, model.layers) > 0 || model.moe.layer_freq > 1;
}

namespace {

int64_t ParametersWith(const ModelSpec& model, int64_t routed) {
  const int64_t table = model.vocab * model.hidden;
  int64_t count = NormParameters(model, model.hidden) + table;
  for (int64_t layer = 0; layer < model.layers; ++layer) count += LayerParameterCount(model, layer, routed);
  // Each layer of multi-token prediction also has two norms and the projection that joins hidden state and embedding
  // (DeepSeek-V3, arXiv 2412.19437, section 2.2).
  const int64_t joint = 2 * NormParameters(model, model.hidden) + 2 * model.hidden * model.hidden;
  if (model.mtp_layers > 0) count += model.mtp_layers * (LayerParameterCount(model, model.layers - 1, routed) + joint);
  if (!model.tied_embeddings) count += table;
  if (model.position == Position::kLearned) count += model.max_positions * model.hidden;
  return count;
}

}  // namespace

int64_t ParameterCount(const ModelSpec& model) { return ParametersWith(model, model.moe.experts) + AdapterParameterCount(model); }
int64_t ActiveParameterCount(const ModelSpec& model) { return ParametersWith(model, model.moe.top_k) + AdapterParameterCount(model); }

int64_t RoutedParameterCount(const ModelSpec& model) { return ParametersWith(model, model.moe.experts) - ParametersWith(model, 0); }

// techniques.md 4.6, per token: two operations for each multiply-add of the projections and the feed-forward network, causal core 2 s a d,
// head 2 h V. Latent attention's heads are qk_nope + qk_rope wide for the scores and v for the values. Backward takes as much again for the
// gradients of the inputs, and once more for those of the weights that are trained; the core has no weights, but two operands.
Flops TrainingFlops(const ModelSpec& model, int64_t sequences, int64_t sequence_length) {
  const LatentAttention& mla = model.mla;
  const int64_t width = mla.kv_lora > 0 ? mla.qk_nope + mla.qk_rope + mla.v : 2 * model.head_dim;
  const double core = static_cast<double>(sequence_length) * static_cast<double>(model.heads * width);
  const double head = 2.0 * static_cast<double>(model.hidden) * static_cast<double>(model.vocab);
  double forward = head;
  for (int64_t layer = 0; layer < model.layers; ++layer) forward += 2.0 * static_cast<double>(ActiveWeights(model, layer)) + core;
  const double joint = 4.0 * static_cast<double>(model.hidden) * static_cast<double>(model.hidden);
  if (model.mtp_layers > 0) {
    const double layer = 2.0 * static_cast<double>(ActiveWeights(model, model.layers - 1)) + core;
    forward += static_cast<double>(model.mtp_layers) * (layer + joint + head);
  }
  double step = 3 * forward;
  if (model.lora.rank > 0) {
    const double adapters = 2.0 * static_cast<double>(AdapterParameterCount(model));
    const double cores = core * static_cast<double>(model.layers + model.mtp_layers);
    step = 2 * (forward - cores) + 3 * (cores + adapters);
  }
  return Flops(step * static_cast<double>(sequences) * static_cast<double>(sequence_length));
}

Status ValidateModel(const ModelSpec& model) {
  std::vector<std::string> problems;
  auto require = [&problems](bool fine, std::string message) {
    if (!fine) problems.push_back("error: " + std::move(message));
  };
  const std::pair<const char*, int64_t> sizes[] = {{"layers", model.layers}, {"hidden", model.hidden},     {"ffn", model.ffn},
                                                   {"heads", model.heads},   {"kv_heads", model.kv_heads}, {"head_dim", model.head_dim},
                                                   {"vocab", model.vocab}};
  for (const auto& [name, value] : sizes) require(value > 0, fmt::format("model {} is {}; it must be at least 1", name, value));
  if (problems.empty()) {
    require(model.heads % model.kv_heads == 0,
            fmt::format("model kv_heads {} does not divide heads {}; use a divisor of {}", model.kv_heads, model.heads, model.heads));
    require(model.position != Position::kRope || model.head_dim % 2 == 0,
            fmt::format("model head_dim {} is odd; rotary positions need an even number", model.head_dim));
    require(model.position != Position::kLearned || model.max_positions > 0, "model max_positions is missing; learned positions need it");
    require(!model.qk_norm || model.norm == Norm::kRmsNorm, "model qk_norm needs norm: rmsnorm");
    require(model.norm_epsilon > 0, "model norm_epsilon must be above 0");
    require(model.padded_vocab == 0 || model.padded_vocab >= model.vocab,
            fmt::format("model padded_vocab {} is below vocab {}", model.padded_vocab, model.vocab));
    CheckUpperEnds(model, require);
    CheckExperts(model, require);
    CheckLatentAttention(model, require);
    require(model.lora.rank <= model.hidden, fmt::format("model lora.rank {} exceeds hidden {}", model.lora.rank, model.hidden));
    CheckPositions(model, require);
    require(model.sliding_window >= 0, "model sliding_window must be 0 (none) or more");
  }
  return problems.empty() ? OkStatus() : InvalidError(Join(problems, "\n"));
}

}  // namespace helm::model
