#include "validation/words.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

#include "core/text.h"

namespace helm::validation {
namespace {

std::string Lower(const std::string& text) {
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

bool Has(const std::string& words, std::initializer_list<const char*> any) {
  return std::any_of(any.begin(), any.end(), [&](const char* part) { return words.find(part) != std::string::npos; });
}

bool SaysNo(const std::string& words) { return words.starts_with("none") || Has(words, {"disabled", "no overlap", "not overlapped"}); }

// "bucket 220 MB" -> 220.
std::optional<int64_t> BucketMegabytes(const std::string& words) {
  const size_t at = words.find("bucket ");
  if (at == std::string::npos) return std::nullopt;
  const std::vector<std::string> parts = Split(words.substr(at), ' ');
  if (parts.size() < 3 || !parts[2].starts_with("mb")) return std::nullopt;
  return ParseInt64(parts[1]);
}

const char* Bool(bool value) { return value ? "true" : "false"; }

std::optional<Switches> DataOverlap(const std::string& words) {
  if (SaysNo(words)) return Switches{{"gradient_reduce_overlap", "false"}, {"parameter_gather_overlap", "false"}};
  if (words.find("fsdp") != std::string::npos) {
    Switches fsdp;
    if (Has(words, {"no prefetch"})) fsdp.emplace_back("fsdp_backward_prefetch", "none");
    if (Has(words, {"limit_all_gathers"})) fsdp.emplace_back("fsdp_limit_all_gathers", Bool(!Has(words, {"limit_all_gathers false"})));
    return fsdp;
  }
  Switches switches;
  if (Has(words, {"at end", "after backward"})) {
    switches = {{"gradient_reduce_overlap", "false"}, {"parameter_gather_overlap", "false"}};
    if (Has(words, {"reduce-scatter", "reduce_scatter"})) switches.emplace_back("gradient_reduction", "reduce_scatter");
  } else if (Has(words, {"grad_reduce", "grad_sync", "grad reduce", "ddp", "gradient"})) {
    switches = {{"gradient_reduce_overlap", "true"}, {"parameter_gather_overlap", Bool(Has(words, {"param_gather", "param_sync"}))}};
  } else {
    return std::nullopt;
  }
  if (const auto megabytes = BucketMegabytes(words)) {
    switches.emplace_back("gradient_bucket_bytes", fmt::format("{}", *megabytes << 20));
    switches.emplace_back("gradient_bucket_elements", "0");
    switches.emplace_back("gradient_bucket_elements_per_rank", "0");
  }
  if (Has(words, {"bf16 grad"})) {
    switches.emplace_back("gradients", "compute");
    switches.emplace_back("gradients_reduced", "compute");
  }
  return switches;
}

std::optional<Switches> TensorOverlap(const std::string& words) {
  if (SaysNo(words)) return Switches{{"tensor_overlap", "none"}};
  if (Has(words, {"userbuffers", "user buffers", "tp_comm_overlap"})) return Switches{{"tensor_overlap", "user_buffers"}};
  if (Has(words, {"tp_linear_async_communication true"})) return Switches{{"tensor_overlap", "own_shard"}};
  if (Has(words, {"tp_linear_async_communication false"})) return Switches{{"tensor_overlap", "none"}};
  if (Has(words, {"wgrad", "weight gradient"})) return Switches{{"tensor_backward_overlap", "true"}};
  return std::nullopt;
}

std::optional<Switches> PipelineOverlap(const std::string& words) {
  if (SaysNo(words) || Has(words, {"sync p2p", "no-overlap-p2p"})) return Switches{{"pipeline_overlap", "none"}};
  if (Has(words, {"overlap"})) return Switches{{"pipeline_overlap", Has(words, {"vpp", "overlap_p2p"}) ? "interleaved" : "always"}};
  return std::nullopt;
}

std::optional<Switches> ExpertOverlap(const std::string& words) {
  if (SaysNo(words)) return Switches{{"expert_overlap", "false"}};
  if (Has(words, {"overlap"})) return Switches{{"expert_overlap", "true"}};
  return std::nullopt;
}

std::optional<Switches> NoteOverlap(const std::string& words) {
  // XLA's scheduler moves every collective's start up and its end down.
  if (Has(words, {"latency-hiding scheduler", "latency hiding scheduler"})) {
    return Switches{{"gradient_reduce_overlap", "true"},
                    {"parameter_gather_overlap", "true"},
                    {"tensor_backward_overlap", "true"},
                    {"pipeline_overlap", "always"}};
  }
  // `software.launch_blocking` says in each row whether it was.
  if (Has(words, {"cuda_launch_blocking"})) return Switches{};
  return std::nullopt;
}

struct PartName {
  const char* published;
  std::vector<const char*> parts;
};

// Megatron's names of modules (megatron/core/transformer/transformer_config.py, recompute_modules) and the phrases of JAX policies, which
// name what is kept.
const std::vector<PartName>& PartNames() {
  static const std::vector<PartName> names = {
      {"core_attn", {"core_attention"}},
      {"moe_act", {"moe_activation"}},
      {"layernorm", {"norm"}},
      {"mla_up_proj", {"mla_up_projection"}},
      {"mlp", {"mlp"}},
      {"moe", {"moe"}},
      {"shared_experts", {"shared_experts"}},
      {"keep matrix products", {"norm", "rope", "core_attention", "mlp_activation"}},
      {"keep qkv projection", {"norm", "rope", "core_attention", "attention_output", "mlp"}},
      {"keep qkv and output projections", {"norm", "rope", "core_attention", "mlp"}},
      {"keep q, k, v, qkv and output projections", {"norm", "rope", "core_attention", "mlp"}},
      {"keep q, k, v, qkv, output and mlp-wo projections", {"norm", "rope", "core_attention", "mlp_up", "mlp_activation"}},
  };
  return names;
}

}  // namespace

std::optional<Switches> OverlapSwitches(const std::string& kind, const std::string& words) {
  const std::string lower = Lower(words);
  if (kind == "data") return DataOverlap(lower);
  if (kind == "tensor") return TensorOverlap(lower);
  if (kind == "pipeline") return PipelineOverlap(lower);
  if (kind == "expert") return ExpertOverlap(lower);
  if (kind == "note") return NoteOverlap(lower);
  return std::nullopt;
}

Switches PrecisionSwitches(const std::string& published) {
  const std::string words = Lower(published);
  Switches switches;
  const auto gradients = [&](const char* kept, const char* reduced) {
    switches.emplace_back("gradients", kept);
    switches.emplace_back("gradients_reduced", reduced);
  };
  if (Has(words, {"fp32 grad"})) gradients("fp32", "fp32");
  if (Has(words, {"fp16 grad", "bf16 grad"})) gradients("compute", "compute");
  // Composer's mixed_precision (composer/distributed/mosaic_parallelism.py, get_mixed_precision): DEFAULT reduces in fp32, PURE in the low
  // precision; the sharded gradients are fp32 like the parameters.
  if (Has(words, {"pure"})) switches.emplace_back("gradients_reduced", "compute");
  if (Has(words, {"fsdp default", "mixed_precision default"})) switches.emplace_back("gradients_reduced", "fp32");
  // Lightning's bf16-true: parameters, gradients and optimizer state are bf16.
  if (Has(words, {"bf16-true"})) {
    gradients("compute", "compute");
    switches.emplace_back("main_parameters", "false");
    switches.emplace_back("optimizer_state", "compute");
  }
  constexpr std::array<std::pair<const char*, const char*>, 5> kRecipes = {
      {{"delayed", "delayed"}, {"current", "current"}, {"tensorwise", "current"}, {"mxfp8", "mx"}, {"block", "blockwise"}}};
  for (const auto& [word, recipe] : kRecipes) {
    if (Has(words, {word})) switches.emplace_back("fp8_recipe", recipe);
  }
  if (Has(words, {"fp8_params"})) switches.emplace_back("parameter_gather_fp8", "true");
  return switches;
}

// Megatron-Bridge 067f987, src/megatron/bridge/recipes/{moonlight,deepseek,olmoe}/h100: use_precision_aware_optimizer with exp_avg_dtype
// and main_grads_dtype bfloat16, grad_reduce_in_fp32 False. Its other recipes keep these in fp32.
Switches RecipeSwitches(const std::string& framework, const std::string& title) {
  if (framework != "megatron-bridge" || !Has(Lower(title), {"moonlight", "deepseek-v3", "deepseek v3", "olmoe"})) return {};
  return {{"gradients", "compute"}, {"gradients_reduced", "compute"}, {"optimizer_state", "compute"}};
}

Switches NoteSwitches(const std::string& notes) {
  const std::string words = Lower(notes);
  Switches switches;
  if (Has(words, {"cross-entropy fusion"})) switches.emplace_back("fused_cross_entropy", "true");
  if (Has(words, {"hidden/attention dropout 0.1"})) {
    switches.emplace_back("hidden_dropout", "0.1");
    switches.emplace_back("attention_dropout", "0.1");
  }
  if (Has(words, {"moe_grouped_gemm=false"})) switches.emplace_back("expert_grouped_gemm", "false");
  return switches;
}

std::optional<std::vector<std::string>> RecomputeWords(const std::string& published) {
  constexpr std::string_view kCustom = "custom:";
  if (!published.starts_with(kCustom)) return std::nullopt;
  const std::string words(Trim(std::string_view(published).substr(kCustom.size())));
  std::vector<std::string> parts;
  const auto add = [&parts](const std::string& phrase) {
    for (const PartName& name : PartNames()) {
      if (phrase != name.published) continue;
      parts.insert(parts.end(), name.parts.begin(), name.parts.end());
      return true;
    }
    return false;
  };
  if (add(words)) return parts;
  for (const std::string& word : Split(words, '+')) {
    if (!add(std::string(Trim(word)))) return std::nullopt;
  }
  return parts;
}

std::string OneLine(const std::string& message) {
  std::vector<std::string> parts;
  for (const std::string& line : Split(message, '\n')) {
    std::string text(Trim(line));
    if (text.empty() || text == "^" || text.find(" | ") != std::string::npos || text.starts_with("| ") || text.starts_with("|")) continue;
    const size_t error = text.find("error: ");
    if (error != std::string::npos) text = text.substr(error + 7);
    if (std::find(parts.begin(), parts.end(), text) == parts.end()) parts.push_back(std::move(text));
  }
  return Join(parts, "; ");
}

}  // namespace helm::validation
