// ModelSpec: the architecture of a transformer, in the words of DESIGN section 4's inline model. Read from a Hugging Face config.json
// (model/hugging_face.h), from a preset of configs/models/ or from an inline mapping (model/model_reader.h).
//
// Invariant after ValidateModel: all sizes positive, heads divisible by kv_heads, head_dim and ffn resolved (never 0).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "model/rope_scaling.h"

namespace helm::model {

enum class Family : uint8_t { kGpt, kLlama, kMoe };  // kMoe: a llama with experts
enum class Activation : uint8_t { kGelu, kGeGlu, kSwiGlu, kSquaredRelu };
enum class Norm : uint8_t { kLayerNorm, kLayerNorm1p, kRmsNorm, kRmsNorm1p };  // 1p: the weight is stored less one
enum class Position : uint8_t { kLearned, kRope, kAlibi, kNone };

// Mixture of experts in place of the feed-forward layer. experts 0: none.
struct MixtureOfExperts {
  int64_t experts = 0;
  int64_t top_k = 0;           // experts a token goes to
  int64_t ffn = 0;             // of one expert
  int64_t shared_ffn = 0;      // of the experts that every token goes to, together; 0: none
  int64_t dense_layers = 0;    // the first so many layers have a plain feed-forward layer of ModelSpec::ffn
  int64_t layer_freq = 1;      // of the others each n-th has experts
  double capacity_factor = 0;  // tokens an expert takes over the mean; 0: no limit
  bool pad_to_capacity = false;
  double aux_loss = 0;
  bool operator==(const MixtureOfExperts&) const = default;
};

// Latent attention (DeepSeek). kv_lora 0: none; q_lora 0: queries are projected directly.
struct LatentAttention {
  int64_t q_lora = 0;
  int64_t kv_lora = 0;
  int64_t qk_nope = 0;
  int64_t qk_rope = 0;
  int64_t v = 0;
  bool operator==(const LatentAttention&) const = default;
};

// Low-rank adapters beside the weights of linear layers, which alone are trained: y = W x + alpha / rank B A x (LoRA, arXiv 2106.09685).
// rank 0: none, and all parameters are trained.
struct LowRankAdapters {
  int64_t rank = 0;
  double alpha = 0;
  std::vector<std::string> targets;  // which linear layers of every transformer layer, by the names that LoraTargetsOf gives
  bool operator==(const LowRankAdapters&) const = default;
};

struct ModelSpec {
  std::string name;
  Family family = Family::kLlama;
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t ffn = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab = 0;
  int64_t padded_vocab = 0;  // rows of embedding and head after padding; 0: by the rule of the framework
  int64_t max_positions = 0;
  Activation activation = Activation::kSwiGlu;
  Norm norm = Norm::kRmsNorm;
  double norm_epsilon = 1e-5;
  Position position = Position::kRope;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  bool bias = false;            // all linear layers
  bool attention_bias = false;  // query, key, value only (Qwen2)
  bool qk_norm = false;         // RMSNorm on each head's query and key (Qwen3)
  bool tied_embeddings = false;
  bool scaled_embeddings = false;  // rows of the table times the root of hidden (Gemma)
  double init_std = 0.02;
  int64_t sliding_window = 0;  // 0: none
  MixtureOfExperts moe;
  LatentAttention mla;
  LowRankAdapters lora;
  int64_t mtp_layers = 0;          // multi-token prediction: further layers behind the last, each with a loss
  std::vector<std::string> notes;  // where the model as HELM runs it differs from the file it was read from: "attn_pdrop 0.1: no dropout"
  bool operator==(const ModelSpec&) const = default;
};

std::string_view Name(Family family);          // "gpt", "llama", "moe"
std::string_view Name(Activation activation);  // "gelu", "geglu", "swiglu", "squared_relu"; GELU is the tanh approximation
std::string_view Name(Norm norm);              // "layernorm", "layernorm1p", "rmsnorm", "rmsnorm1p"
std::string_view Name(Position position);      // "learned", "rope", "alibi", "none"

// Every combination of fields that no model has, or that HELM cannot run, one line each ("error: ..."); ok when there is none.
Status ValidateModel(const ModelSpec& model);

// An RMSNorm, whose weight has no bias beside it.
bool IsRmsNorm(Norm norm);
// Whether the weight is stored less one.
bool IsLessOne(Norm norm);

// Whether the layer has experts. REQUIRES: 0 <= layer < model.layers.
bool HasExperts(const ModelSpec& model, int64_t layer);

bool HasDenseLayers(const ModelSpec& model);

// Parameters of the unsplit model without vocabulary padding (tied embeddings counted once), adapters included.
int64_t ParameterCount(const ModelSpec& model);
// Those that a token meets: of the experts only its top_k and the shared ones; all of a model without experts.
int64_t ActiveParameterCount(const ModelSpec& model);
// Those of the routed experts of all layers.
int64_t RoutedParameterCount(const ModelSpec& model);

// Model FLOPs of one training step: 3 x forward; causal attention counts half (techniques.md 4.6). Recompute is not counted. With adapters
// 2 x the products with frozen weights, whose gradients are not computed.
Flops TrainingFlops(const ModelSpec& model, int64_t sequences, int64_t sequence_length);

}  // namespace helm::model
