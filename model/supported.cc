#include "model/supported.h"

#include <fmt/format.h>

#include "ir/software_text.h"
#include "ir/strategy_text.h"
#include "model/parameter_plan.h"

namespace helm::model {
namespace {

class List {
 public:
  explicit List(const char* section) : section_(section) {}
  void Refuse(bool asked, const char* key, std::string what, std::string allowed) {
    if (asked) items_.push_back({section_, key, std::move(what), std::move(allowed)});
  }
  // A key that only has to be left out.
  void RefuseKey(bool asked, const char* key, const char* meaning) {
    Refuse(asked, key, fmt::format("'{}' ({})", key, meaning), fmt::format("fix: remove '{}'", key));
  }
  void AppendTo(std::vector<Unsupported>& all) const { all.insert(all.end(), items_.begin(), items_.end()); }

 private:
  const char* section_;
  std::vector<Unsupported> items_;
};

List CheckModel(const ModelSpec& model) {
  List list("model");
  list.Refuse(model.moe.experts > 0 && model.bias, "bias", "'bias: true' with experts", "allowed: false");
  list.RefuseKey(model.mtp_layers > 0, "mtp_layers", "multi-token prediction");
  const char* const without = "fix: remove 'lora'";
  list.Refuse(model.lora.rank > 0 && model.moe.experts > 0, "lora", "'lora' in a model with experts", without);
  list.Refuse(model.lora.rank > 0 && model.mla.kv_lora > 0, "lora", "'lora' beside latent attention ('mla')", without);
  return list;
}

List CheckWorkload(const ModelSpec& model, const ir::Workload& workload) {
  List list("workload");
  const bool known = workload.quantization == ir::Quantization::kNone || workload.quantization == ir::Quantization::kFp8;
  list.Refuse(!known, "dtype", fmt::format("'dtype: {}'", ir::DataTypeWord(workload)), "allowed: fp32, bf16, fp16, fp8");
  list.Refuse(workload.quantization == ir::Quantization::kFp8 && model.lora.rank > 0, "dtype", "'dtype: fp8' with 'lora'",
              "allowed: fp32, bf16, fp16");
  return list;
}

List CheckSoftware(const ModelSpec& model, const ir::Workload& workload, const ir::Software& software, const ir::Strategy& strategy) {
  List list("software");
  list.Refuse(strategy.context > 1 && !software.flash_attention, "flash_attention", "'context' without flash kernels", "allowed: true");
  list.Refuse(model.position == Position::kAlibi && software.flash_attention, "flash_attention", "'position: alibi' with flash kernels",
              "allowed: false");
  list.Refuse(model.mla.kv_lora > 0 && !software.flash_attention, "flash_attention", "'mla' without flash kernels", "allowed: true");
  const bool whole_tensors = software.fp8_recipe == ir::Fp8Recipe::kDelayed || software.fp8_recipe == ir::Fp8Recipe::kCurrent;
  list.Refuse(workload.quantization == ir::Quantization::kFp8 && !whole_tensors, "fp8_recipe", "'fp8_recipe' with a scale for each block",
              "allowed: delayed, current");
  const bool narrow_state = !software.main_parameters || software.optimizer_state == ir::Precision::kCompute;
  list.Refuse(narrow_state && software.framework == "helm", software.main_parameters ? "optimizer_state" : "main_parameters",
              "an optimizer state narrower than fp32 with HELM's own executor", "allowed: main_parameters true, optimizer_state fp32");
  list.Refuse(software.compile && software.framework == "helm", "compile", "'compile: true' with HELM's own executor", "allowed: false");
  return list;
}

// Switches that the lowering or the costs honour, or CheckSoftware refuses. A predicted step begins with an idle device, as one does behind
// `step_syncs`.
constexpr const char* kHonoured[] = {
    "framework",
    "flash_attention",
    "attention_kernel",
    "compile",
    "gradient_bucket_bytes",
    "gradient_bucket_elements",
    "gradient_bucket_elements_per_rank",
    "fused_elementwise",
    "fused_norm",
    "fused_rope",
    "fused_rope_latent",
    "fused_cross_entropy",
    "logits",
    "fused_linear_bias",
    "fused_bias_activation",
    "fused_gated_activation",
    "fused_bias_dropout_add",
    "fused_masked_softmax",
    "attention_softmax",
    "attention_dropout",
    "hidden_dropout",
    "activation_recomputed",
    "recompute_whole",
    "qkv_copies",
    "layer_kernels",
    "expert_layer_kernels",
    "gradient_norm_sync",
    "step_syncs",
    "optimizer_state",
    "cross_entropy_in_place",
    "vocabulary_multiple",
    "gradient_bucket_copies",
    "gradients",
    "gradient_accumulation_fusion",
    "gradient_reduce_overlap",
    "launch_blocking",
    "cuda_graphs",
    "pipeline_sync",
    "pipeline_scatter",
    "tensor_backward_overlap",
    "expert_grouped_gemm",
    "context_communication",
    "fp8_recipe",
};

// Switches that this training never comes to, whatever they say.
std::vector<const char*> WithoutEffect(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy) {
  const bool copies = strategy.data * strategy.context > 1;
  const bool narrow = workload.dtype != ir::DataType::kFloat32;
  const bool eight_bits = workload.quantization != ir::Quantization::kNone;
  struct Rule {
    bool comes_to;
    std::vector<const char*> keys;
  };
  const Rule rules[] = {{model.moe.experts > 0, {"expert_grouped_gemm", "expert_dispatch", "expert_overlap"}},
                        {eight_bits, {"parameter_gather_fp8"}},
                        {strategy.tensor > 1, {"tensor_overlap", "sequence_gather_kept"}},
                        {strategy.pipeline > 1, {"pipeline_overlap", "pipeline_outputs_freed", "optimizer_post_validation"}},
                        {copies, {"gradients_reduced", "gradient_reduce_each_micro_batch", "gradient_reduction"}},
                        {copies && strategy.zero > 0, {"parameter_gather_overlap"}},
                        {narrow, {"main_parameters", "optimizer_state", "gradient_copy"}}};
  std::vector<const char*> without;
  for (const Rule& rule : rules) {
    if (!rule.comes_to) without.insert(without.end(), rule.keys.begin(), rule.keys.end());
  }
  return without;
}

}  // namespace

std::vector<Unsupported> UnsupportedFeatures(const ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                                             const ir::Strategy& strategy) {
  std::vector<Unsupported> all;
  CheckModel(model).AppendTo(all);
  CheckWorkload(model, workload).AppendTo(all);
  CheckSoftware(model, workload, software, strategy).AppendTo(all);
  return all;
}

std::vector<std::string> UnmodelledSwitches(const ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                                            const ir::Strategy& strategy) {
  const ir::Software modelled;
  nlohmann::ordered_json asked = ir::Differences(software, modelled);
  for (const char* key : kHonoured) asked.erase(key);
  // Where exchanges overlap in interleaved schedules alone, the host waits for those of others (cost/chain.cc knows no schedule).
  const bool waits = software.pipeline_sync && software.pipeline_overlap == ir::PipelineOverlap::kInterleaved;
  const bool not_interleaved = strategy.pipeline > 1 && strategy.virtual_pipeline == 1;
  const bool wait_left_out = waits && not_interleaved;
  if (wait_left_out) asked["pipeline_sync"] = true;
  if (workload.quantization == ir::Quantization::kFp8) asked.erase("fused_norm_linear");
  // Reduced as they are kept; narrow ones are copied for the update.
  if (software.gradients_reduced == software.gradients) asked.erase("gradients_reduced");
  if (software.gradients == ir::Precision::kCompute) asked.erase("gradient_copy");
  const Sharding sharding = ShardingOf(strategy);
  // Sharded parameters are their own main copies; with the optimizer state alone sharded there are always others.
  if (sharding.parameters || !sharding.optimizer_state) asked.erase("main_parameters");
  if (sharding.gradients) {
    // Of scattered gradients: the type, the time (fsdp_no_sync), and that they live from backward to the update.
    for (const char* key : {"gradients_reduced", "gradient_reduce_each_micro_batch", "gradient_buffer", "fsdp_no_sync"}) asked.erase(key);
  }
  for (const char* key :
       {"fsdp_backward_prefetch", "fsdp_prefetch", "fsdp_root_kept", "fsdp_last_kept", "fsdp_gather_copied", "fsdp_gradient_divided"})
    asked.erase(key);
  if (!sharding.parameters) {
    for (const char* key : {"fsdp_forward_prefetch", "fsdp_limit_all_gathers", "fsdp_no_sync"}) asked.erase(key);
  }
  for (const char* key : WithoutEffect(model, workload, strategy)) asked.erase(key);
  const nlohmann::ordered_json usual = ir::ToJson(modelled);
  std::vector<std::string> words;
  for (const auto& [key, value] : asked.items()) {
    const auto text = [](const nlohmann::ordered_json& item) { return item.is_string() ? item.get<std::string>() : item.dump(); };
    words.push_back(fmt::format("{} {}: predicted with {}", key, text(value), text(usual.at(key))));
  }
  return words;
}

}  // namespace helm::model
