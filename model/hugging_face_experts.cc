#include "model/hugging_face_experts.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.h"

namespace helm::model {
namespace {

// The balancing loss counts only where the router's logits are asked for (output_router_logits; transformers' ForCausalLM classes).
void ReadBalancingLoss(MappingReader& reader, MixtureOfExperts& moe) {
  const double coefficient = reader.Double("router_aux_loss_coef", kNotNegativeNumber).value_or(0.001);
  if (reader.Bool("output_router_logits").value_or(false)) moe.aux_loss = coefficient;
}

void ReadTopK(MappingReader& reader, MixtureOfExperts& moe) { moe.top_k = reader.RequireInt64("num_experts_per_tok", kPositive); }

// HELM's router weighs the experts of a token by the softmax over them (model/lower_router.cc).
void NoteNormalization(MappingReader& reader, bool usual, ModelSpec& model) {
  if (reader.Bool("norm_topk_prob").value_or(usual)) return;
  model.notes.emplace_back("norm_topk_prob false: HELM's weights of a token's experts add up to one");
}

void ReadShared(MappingReader& reader, MixtureOfExperts& moe) {
  moe.shared_ffn = reader.Int64("n_shared_experts", kNotNegative).value_or(0) * moe.ffn;
}

void NoteRouting(MappingReader& reader, ModelSpec& model) {
  const auto scoring = reader.String("scoring_func").value_or("softmax");
  if (scoring != "softmax") model.notes.push_back(fmt::format("scoring_func {}: HELM routes by softmax", scoring));
  const auto groups = reader.Int64("n_group", kPositive).value_or(1);
  if (groups > 1) model.notes.push_back(fmt::format("n_group {}: HELM chooses among all experts", groups));
  const auto factor = reader.Double("routed_scaling_factor", kPositiveNumber).value_or(1.0);
  if (factor != 1.0) model.notes.push_back(fmt::format("routed_scaling_factor {}: HELM does not scale", FormatDouble(factor)));
  for (const char* key : {"topk_method", "topk_group", "seq_aux", "ep_size"}) reader.Ignore(key);
}

void ReadHuggingFaceLatentAttention(MappingReader& reader, LatentAttention& mla) {
  mla.kv_lora = reader.RequireInt64("kv_lora_rank", kPositive);
  mla.q_lora = reader.Int64("q_lora_rank", kPositive).value_or(0);
  mla.qk_nope = reader.RequireInt64("qk_nope_head_dim", kPositive);
  mla.qk_rope = reader.RequireInt64("qk_rope_head_dim", kPositive);
  mla.v = reader.RequireInt64("v_head_dim", kPositive);
}

}  // namespace

void ReadMixtralExperts(MappingReader& reader, ModelSpec& model) {
  model.family = Family::kMoe;
  model.moe.experts = reader.Int64("num_local_experts", kPositive).value_or(8);
  ReadTopK(reader, model.moe);
  model.moe.ffn = model.ffn;
  reader.Ignore("router_jitter_noise");
  ReadBalancingLoss(reader, model.moe);
}

void ReadQwen3Experts(MappingReader& reader, ModelSpec& model) {
  model.family = Family::kMoe;
  model.moe.experts = reader.RequireInt64("num_experts", kPositive);
  ReadTopK(reader, model.moe);
  model.moe.ffn = reader.RequireInt64("moe_intermediate_size", kPositive);
  NoteNormalization(reader, false, model);
  ReadBalancingLoss(reader, model.moe);
  const auto every = reader.Int64("decoder_sparse_step", kPositive).value_or(1);
  if (every != 1) {
    reader.Error("decoder_sparse_step",
                 fmt::format("`decoder_sparse_step: {}` (experts in some layers) is not supported by this version", every), {"allowed: 1"});
  }
  const auto dense = reader.Int64List("mlp_only_layers", kNotNegative);
  if (dense && !dense->empty()) {
    reader.Error("mlp_only_layers", "`mlp_only_layers` (some layers without experts) is not supported by this version", {"allowed: []"});
  }
}

// transformers, modeling_gpt_oss.py. Its softmax over the chosen experts is HELM's over all, divided by the sum of the chosen ones.
void ReadGptOssExperts(MappingReader& reader, ModelSpec& model) {
  model.family = Family::kMoe;
  model.moe.experts = reader.Int64("num_local_experts", kPositive).value_or(128);
  ReadTopK(reader, model.moe);
  model.moe.ffn = model.ffn;
  model.attention_bias = reader.Bool("attention_bias").value_or(true);
  ReadBalancingLoss(reader, model.moe);
  for (const char* key : {"experts_per_token", "initial_context_length"}) reader.Ignore(key);  // said by other keys too
  const auto limit = reader.Double("swiglu_limit", kPositiveNumber).value_or(7.0);
  model.notes.push_back(fmt::format("swiglu_limit {}: HELM's SwiGLU has no limit, and adds no one to the gate", FormatDouble(limit)));
  model.notes.emplace_back("gpt_oss: HELM has no attention sinks, and no biases of output projection, router and experts");
  const auto window = reader.Int64("sliding_window", kPositive).value_or(128);
  const auto types = reader.StringList("layer_types");
  const bool windows = !types || std::ranges::find(*types, "sliding_attention") != types->end();
  if (windows) {
    model.notes.push_back(fmt::format("sliding_window {} in every other layer: HELM attends to all positions, which takes longer", window));
  }
}

void ReadDeepSeek(MappingReader& reader, ModelSpec& model) {
  model.family = Family::kMoe;
  MixtureOfExperts& moe = model.moe;
  moe.experts = reader.RequireInt64("n_routed_experts", kPositive);
  ReadTopK(reader, moe);
  moe.ffn = reader.RequireInt64("moe_intermediate_size", kPositive);
  ReadShared(reader, moe);
  moe.dense_layers = reader.Int64("first_k_dense_replace", kNotNegative).value_or(0);
  moe.aux_loss = reader.Double("aux_loss_alpha", kNotNegativeNumber).value_or(0.0);
  const auto every = reader.Int64("moe_layer_freq", kPositive).value_or(1);
  if (every != 1) {
    reader.Error("moe_layer_freq", fmt::format("`moe_layer_freq: {}` (experts in some layers) is not supported by this version", every),
                 {"allowed: 1", "fix: describe the model inline, with `moe: {layer_freq: ...}`"});
  }
  NoteNormalization(reader, true, model);
  NoteRouting(reader, model);
  ReadHuggingFaceLatentAttention(reader, model.mla);
  // transformers leaves these layers' weights aside, too.
  if (const auto layers = reader.Int64("num_nextn_predict_layers", kNotNegative).value_or(0); layers > 0) {
    model.notes.push_back(fmt::format("num_nextn_predict_layers {}: HELM trains without multi-token prediction", layers));
  }
}

}  // namespace helm::model
