#include "core/synonym.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/text.h"

namespace helm {
namespace {

// Of Megatron-LM (arguments.py), DeepSpeed, torchtitan, Hugging Face's config.json and the papers' letters.
constexpr std::array<std::pair<std::string_view, std::string_view>, 73> kSynonyms = {{
    {"dp", "data"},
    {"data_parallel", "data"},
    {"data_parallel_size", "data"},
    {"data_parallel_degree", "data"},
    {"dp_size", "data"},
    {"tp", "tensor"},
    {"tensor_parallel", "tensor"},
    {"tensor_parallel_size", "tensor"},
    {"tensor_parallel_degree", "tensor"},
    {"tensor_model_parallel_size", "tensor"},
    {"tp_size", "tensor"},
    {"pp", "pipeline"},
    {"pipeline_parallel", "pipeline"},
    {"pipeline_parallel_size", "pipeline"},
    {"pipeline_parallel_degree", "pipeline"},
    {"pipeline_model_parallel_size", "pipeline"},
    {"pp_size", "pipeline"},
    {"vp", "virtual_pipeline"},
    {"vpp", "virtual_pipeline"},
    {"virtual_pipeline_model_parallel_size", "virtual_pipeline"},
    {"virtual_stages", "virtual_pipeline"},
    {"cp", "context"},
    {"context_parallel", "context"},
    {"context_parallel_size", "context"},
    {"context_parallel_degree", "context"},
    {"ep", "expert"},
    {"expert_parallel", "expert"},
    {"expert_parallel_degree", "expert"},
    {"expert_model_parallel_size", "expert"},
    {"etp", "expert_tensor"},
    {"expert_tensor_parallel_size", "expert_tensor"},
    {"sp", "sequence_parallel"},
    {"zero_stage", "zero"},
    {"stage", "zero"},
    {"mbs", "micro_batch"},
    {"micro_batch_size", "micro_batch"},
    {"microbatch", "micro_batch"},
    {"train_micro_batch_size_per_gpu", "micro_batch"},
    {"gbs", "global_batch"},
    {"batch", "global_batch"},
    {"batch_size", "global_batch"},
    {"global_batch_size", "global_batch"},
    {"train_batch_size", "global_batch"},
    {"seq", "sequence_length"},
    {"seq_len", "sequence_length"},
    {"seq_length", "sequence_length"},
    {"seqlen", "sequence_length"},
    {"max_seq_len", "sequence_length"},
    {"precision", "dtype"},
    {"activation_checkpointing", "recompute"},
    {"activation_checkpoint", "recompute"},
    {"recompute_granularity", "recompute"},
    {"pipeline_schedule", "schedule"},
    {"num_gpus", "gpus"},
    {"ngpus", "gpus"},
    {"num_nodes", "nodes"},
    {"nnodes", "nodes"},
    {"nproc_per_node", "gpus_per_node"},
    {"num_layers", "layers"},
    {"num_hidden_layers", "layers"},
    {"n_layers", "layers"},
    {"hidden_size", "hidden"},
    {"intermediate_size", "ffn"},
    {"ffn_hidden_size", "ffn"},
    {"num_attention_heads", "heads"},
    {"num_key_value_heads", "kv_heads"},
    {"vocab_size", "vocab"},
    {"max_position_embeddings", "max_positions"},
    {"float32", "fp32"},
    {"float16", "fp16"},
    {"half", "fp16"},
    {"bfloat16", "bf16"},
    {"float8", "fp8"},
}};

}  // namespace

std::optional<std::string> WhatIsMeant(std::string_view word, const std::vector<std::string>& allowed) {
  std::string plain = ReplaceAll(std::string(word), "-", "_");
  const auto* const known = std::ranges::find(kSynonyms, plain, &std::pair<std::string_view, std::string_view>::first);
  if (known != kSynonyms.end() && std::ranges::find(allowed, known->second) != allowed.end()) return std::string(known->second);
  return DidYouMean(std::string(word), allowed);
}

}  // namespace helm
