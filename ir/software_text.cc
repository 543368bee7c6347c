#include "ir/software_text.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "core/check.h"

namespace helm::ir {
namespace {

using Json = nlohmann::ordered_json;

// The words of an enum, in the order of its values.
template <typename T>
const std::vector<std::string>& Words();
template <>
const std::vector<std::string>& Words<Precision>() {
  static const std::vector<std::string> words = {"compute", "fp32"};
  return words;
}
template <>
const std::vector<std::string>& Words<AttentionKernel>() {
  static const std::vector<std::string> words = {"flash", "cudnn", "triton"};
  return words;
}
template <>
const std::vector<std::string>& Words<OptimizerKernel>() {
  static const std::vector<std::string> words = {"fused", "foreach", "each_tensor"};
  return words;
}
template <>
const std::vector<std::string>& Words<GradientReduction>() {
  static const std::vector<std::string> words = {"all_reduce", "reduce_scatter"};
  return words;
}
template <>
const std::vector<std::string>& Words<TensorOverlap>() {
  static const std::vector<std::string> words = {"none", "user_buffers", "own_shard"};
  return words;
}
template <>
const std::vector<std::string>& Words<BackwardPrefetch>() {
  static const std::vector<std::string> words = {"none", "post", "pre"};
  return words;
}
template <>
const std::vector<std::string>& Words<ContextCommunication>() {
  static const std::vector<std::string> words = {"ring", "all_gather", "all_to_all"};
  return words;
}
template <>
const std::vector<std::string>& Words<PipelineOverlap>() {
  static const std::vector<std::string> words = {"none", "interleaved", "always"};
  return words;
}
template <>
const std::vector<std::string>& Words<ExpertDispatch>() {
  static const std::vector<std::string> words = {"all_gather", "all_to_all", "fused"};
  return words;
}
template <>
const std::vector<std::string>& Words<Fp8Recipe>() {
  static const std::vector<std::string> words = {"delayed", "current", "blockwise", "mx"};
  return words;
}

// Calls visit(key, field) for every switch. The one list of keys.
template <typename Target, typename Visit>
void VisitKernels(Target& s, const Visit& visit) {
  visit("flash_attention", s.flash_attention);
  visit("attention_kernel", s.attention_kernel);
  visit("compile", s.compile);
  visit("fused_norm", s.fused.norm);
  visit("fused_norm_linear", s.fused.norm_linear);
  visit("fused_linear_bias", s.fused.linear_bias);
  visit("fused_bias_activation", s.fused.bias_activation);
  visit("fused_gated_activation", s.fused.gated_activation);
  visit("fused_bias_dropout_add", s.fused.bias_dropout_add);
  visit("fused_masked_softmax", s.fused.masked_softmax);
  visit("fused_rope", s.fused.rope);
  visit("fused_rope_latent", s.fused.rope_latent);
  visit("fused_cross_entropy", s.fused.cross_entropy);
  visit("fused_elementwise", s.fused.elementwise);
  visit("attention_softmax", s.attention_softmax);
  visit("logits", s.logits);
  visit("attention_dropout", s.attention_dropout);
  visit("hidden_dropout", s.hidden_dropout);
  visit("activation_recomputed", s.activation_recomputed);
  visit("qkv_copies", s.qkv_copies);
  visit("layer_kernels", s.layer_kernels);
  visit("expert_layer_kernels", s.expert_layer_kernels);
  visit("cross_entropy_in_place", s.cross_entropy_in_place);
  visit("recompute_whole", s.recompute_whole);
}

template <typename Target, typename Visit>
void VisitState(Target& s, const Visit& visit) {
  visit("gradients", s.gradients);
  visit("gradients_reduced", s.gradients_reduced);
  visit("gradient_accumulation_fusion", s.gradient_accumulation_fusion);
  visit("gradient_buffer", s.gradient_buffer);
  visit("gradient_bucket_copies", s.gradient_bucket_copies);
  visit("gradient_reduce_overlap", s.gradient_reduce_overlap);
  visit("gradient_reduce_each_micro_batch", s.gradient_reduce_each_micro_batch);
  visit("gradient_reduction", s.gradient_reduction);
  visit("gradient_bucket_bytes", s.gradient_bucket_bytes);
  visit("gradient_bucket_elements", s.gradient_bucket_elements);
  visit("gradient_bucket_elements_per_rank", s.gradient_bucket_elements_per_rank);
  visit("gradient_norm_sync", s.gradient_norm_sync);
  visit("optimizer_kernel", s.optimizer_kernel);
  visit("main_parameters", s.main_parameters);
  visit("optimizer_state", s.optimizer_state);
  visit("gradient_copy", s.gradient_copy);
  visit("parameter_gather_overlap", s.parameter_gather_overlap);
  visit("parameter_gather_fp8", s.parameter_gather_fp8);
  visit("fsdp_forward_prefetch", s.fsdp_forward_prefetch);
  visit("fsdp_backward_prefetch", s.fsdp_backward_prefetch);
  visit("fsdp_prefetch", s.fsdp_prefetch);
  visit("fsdp_limit_all_gathers", s.fsdp_limit_all_gathers);
  visit("fsdp_root_kept", s.fsdp_root_kept);
  visit("fsdp_last_kept", s.fsdp_last_kept);
  visit("fsdp_no_sync", s.fsdp_no_sync);
  visit("fsdp_gather_copied", s.fsdp_gather_copied);
  visit("fsdp_gradient_divided", s.fsdp_gradient_divided);
}

template <typename Target, typename Visit>
void VisitParallelism(Target& s, const Visit& visit) {
  visit("tensor_backward_overlap", s.tensor_backward_overlap);
  visit("tensor_overlap", s.tensor_overlap);
  visit("sequence_gather_kept", s.sequence_gather_kept);
  visit("vocabulary_multiple", s.vocabulary_multiple);
  visit("context_communication", s.context_communication);
  visit("pipeline_overlap", s.pipeline_overlap);
  visit("pipeline_sync", s.pipeline_sync);
  visit("pipeline_outputs_freed", s.pipeline_outputs_freed);
  visit("pipeline_scatter", s.pipeline_scatter);
  visit("optimizer_post_validation", s.optimizer_post_validation);
  visit("expert_grouped_gemm", s.expert_grouped_gemm);
  visit("expert_dispatch", s.expert_dispatch);
  visit("expert_overlap", s.expert_overlap);
  visit("fp8_recipe", s.fp8_recipe);
  visit("cuda_graphs", s.cuda_graphs);
  visit("launch_blocking", s.launch_blocking);
  visit("deterministic", s.deterministic);
  visit("micro_batch_syncs", s.micro_batch_syncs);
  visit("step_syncs", s.step_syncs);
}

template <typename Target, typename Visit>
void VisitSwitches(Target& software, const Visit& visit) {
  VisitKernels(software, visit);
  VisitState(software, visit);
  VisitParallelism(software, visit);
}

template <typename T>
void ReadField(const std::string& key, const YamlValue& value, T& field, Diagnostics& diagnostics) {
  const std::string what = "'" + key + "'";
  if constexpr (std::is_same_v<T, bool>) {
    field = ReadBool(value, what, diagnostics).value_or(field);
  } else if constexpr (std::is_same_v<T, int64_t>) {
    const int64_t low = key == "gradient_bucket_bytes" ? 1 : 0;
    field = ReadInt64(value, what, diagnostics, {low, kNotNegative.high}).value_or(field);
  } else if constexpr (std::is_same_v<T, double>) {
    field = ReadDouble(value, what, diagnostics, kFraction).value_or(field);
  } else {
    const std::vector<std::string>& words = Words<T>();
    const auto word = ReadChoice(value, what, diagnostics, words);
    if (word) field = static_cast<T>(std::find(words.begin(), words.end(), *word) - words.begin());
  }
}

template <typename T>
Json FieldToJson(const T& field) {
  if constexpr (std::is_enum_v<T>) {
    return Words<T>()[static_cast<size_t>(field)];
  } else {
    return field;
  }
}

}  // namespace

const std::vector<std::string>& SoftwareKeys() {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> list;
    const Software software;
    VisitSwitches(software, [&](const char* key, const auto&) { list.emplace_back(key); });
    return list;
  }();
  return keys;
}

void ReadSwitches(MappingReader& reader, Software& software) {
  VisitSwitches(software, [&](const char* key, auto& field) {
    if (const YamlValue* value = reader.Value(key)) ReadField(key, *value, field, reader.diagnostics());
  });
}

void ReadSwitch(const std::string& key, const YamlValue& value, Software& software, Diagnostics& diagnostics) {
  bool found = false;
  VisitSwitches(software, [&](const char* known, auto& field) {
    if (key != known) return;
    ReadField(key, value, field, diagnostics);
    found = true;
  });
  HELM_CHECK(found, "a key of SoftwareKeys");
}

Json ToJson(const Software& software) {
  Json json = {{"framework", software.framework}};
  VisitSwitches(software, [&](const char* key, const auto& field) { json[key] = FieldToJson(field); });
  return json;
}

Json Differences(const Software& software, const Software& base) {
  const Json all = ToJson(software);
  const Json usual = ToJson(base);
  Json json = {{"framework", software.framework}};
  for (const auto& [key, value] : all.items()) {
    if (value != usual.at(key)) json[key] = value;
  }
  return json;
}

}  // namespace helm::ir
