#include "model/model_spec.h"

#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "core/text.h"

namespace helm::model {

std::string_view Name(Family family) { return family == Family::kGpt ? "gpt" : "llama"; }

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

std::string_view Name(Norm norm) { return norm == Norm::kLayerNorm ? "layernorm" : "rmsnorm"; }

std::string_view Name(Position position) {
  switch (position) {
    case Position::kLearned:
      return "learned";
    case Position::kRope:
      return "rope";
    case Position::kNone:
      return "none";
  }
  HELM_CHECK(false, "a position embedding");
}

namespace {

bool IsGatedActivation(const ModelSpec& model) { return model.activation == Activation::kSwiGlu || model.activation == Activation::kGeGlu; }

int64_t NormParameters(const ModelSpec& model) { return model.norm == Norm::kLayerNorm ? 2 * model.hidden : model.hidden; }

int64_t LayerParameterCount(const ModelSpec& model) {
  const int64_t qkv = (model.heads + 2 * model.kv_heads) * model.head_dim;
  const int64_t width = model.heads * model.head_dim;
  const int64_t up = model.ffn * (IsGatedActivation(model) ? 2 : 1);
  int64_t count = model.hidden * (qkv + width + up + model.ffn) + 2 * NormParameters(model);
  if (model.bias) count += qkv + model.hidden + up + model.hidden;
  if (model.attention_bias && !model.bias) count += qkv;
  if (model.qk_norm) count += 2 * model.head_dim;
  return count;
}

}  // namespace

int64_t ParameterCount(const ModelSpec& model) {
  const int64_t table = model.vocab * model.hidden;
  int64_t count = model.layers * LayerParameterCount(model) + NormParameters(model) + table;
  if (!model.tied_embeddings) count += table;
  if (model.position == Position::kLearned) count += model.max_positions * model.hidden;
  return count;
}

// techniques.md 4.6, per token: projections 2 h (a + 2k) d + 2 a d h, causal core 2 s a d, feed-forward 4 h f (6 h f when gated), head 2 h
// V.
Flops TrainingFlops(const ModelSpec& model, int64_t sequences, int64_t sequence_length) {
  const auto h = static_cast<double>(model.hidden);
  const double width = static_cast<double>(model.heads) * static_cast<double>(model.head_dim);
  const double qkv = static_cast<double>((model.heads + 2 * model.kv_heads) * model.head_dim);
  const double ffn = static_cast<double>(model.ffn) * (IsGatedActivation(model) ? 1.5 : 1.0);
  const double layer = 2 * h * qkv + 2 * width * h + 2 * static_cast<double>(sequence_length) * width + 4 * h * ffn;
  const double forward = static_cast<double>(model.layers) * layer + 2 * h * static_cast<double>(model.vocab);
  return Flops(3 * forward * static_cast<double>(sequences) * static_cast<double>(sequence_length));
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
    require(model.sliding_window >= 0, "model sliding_window must be 0 (none) or more");
  }
  return problems.empty() ? OkStatus() : InvalidError(Join(problems, "\n"));
}

}  // namespace helm::model
