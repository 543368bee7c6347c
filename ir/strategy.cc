#include "ir/strategy.h"

#include <algorithm>

#include "ir/sharding.h"

namespace helm::ir {
namespace {

void AppendNumber(std::string& text, const char* name, int64_t value) { text += std::string(", ") + name + " " + std::to_string(value); }

void AppendUnless(std::string& text, const char* name, int64_t value, int64_t usual) {
  if (value != usual) AppendNumber(text, name, value);
}

void AppendUnless(std::string& text, const char* name, const std::string& value, const std::string& usual) {
  if (value != usual) text += std::string(", ") + name + " " + value;
}

// "full", "norm+mlp", "full in 4 layers", "norm+mlp in 1 layer" (of each chunk).
std::string DescribeRecompute(const Strategy& strategy) {
  if (strategy.recompute != "custom") return strategy.recompute;
  std::string text;
  for (const std::string& part : strategy.recompute_ops) text += (text.empty() ? "" : "+") + part;
  if (text.empty()) text = "full";
  const int64_t layers = strategy.recompute_layers;
  return layers > 0 ? text + " in " + std::to_string(layers) + (layers > 1 ? " layers" : " layer") : text;
}

// " 0 1x126 0": a run of more than four alike by its length.
std::string DescribeCounts(const std::vector<int64_t>& counts) {
  constexpr auto kRunWritten = 4;
  std::string text;
  for (auto first = counts.begin(); first != counts.end();) {
    const int64_t count = *first;
    const auto last = std::find_if(first, counts.end(), [count](int64_t other) { return other != count; });
    const auto run = last - first;
    for (auto i = run > kRunWritten ? run - 1 : 0; i < run; ++i) text += " " + std::to_string(count);
    if (run > kRunWritten) text += "x" + std::to_string(run);
    first = last;
  }
  return text;
}

std::string DescribeLayers(const std::vector<Stage>& stages) {
  std::vector<int64_t> layers;
  for (const Stage& stage : stages) layers.push_back(stage.layers());
  return DescribeCounts(layers);
}

}  // namespace

std::string Describe(const Strategy& strategy) {
  const Strategy usual;
  std::string text = "data " + std::to_string(strategy.data);
  AppendNumber(text, "tensor", strategy.tensor);
  if (strategy.sequence_parallel) text += ", sequence_parallel";
  AppendUnless(text, "context", strategy.context, usual.context);
  AppendUnless(text, "pipeline", strategy.pipeline, usual.pipeline);
  AppendUnless(text, "virtual_pipeline", strategy.virtual_pipeline, usual.virtual_pipeline);
  AppendUnless(text, "expert", strategy.expert, usual.expert);
  AppendUnless(text, "expert_tensor", strategy.expert_tensor, usual.expert_tensor);
  AppendUnless(text, "zero", strategy.zero, usual.zero);
  AppendUnless(text, "fsdp_shard", strategy.fsdp_shard, usual.fsdp_shard);
  AppendUnless(text, "fsdp_replicate", strategy.fsdp_replicate, usual.fsdp_replicate);
  AppendNumber(text, "micro_batch", strategy.micro_batch);
  if (!strategy.micro_batches.empty()) text += ", micro_batches" + DescribeCounts(strategy.micro_batches);
  AppendUnless(text, "recompute", DescribeRecompute(strategy), usual.recompute);
  AppendUnless(text, "schedule", strategy.schedule, usual.schedule);
  AppendUnless(text, "overlap", strategy.overlap, usual.overlap);
  if (IsTiled(strategy)) AppendUnless(text, "overlap_tiles", strategy.overlap_tiles, usual.overlap_tiles);
  if (!strategy.stages.empty()) text += ", stages of" + DescribeLayers(strategy.stages);
  AppendUnless(text, "head_stage", strategy.head_stage, usual.head_stage);
  if (!strategy.groups.empty()) {
    text += ", groups";
    for (const std::string& group : strategy.groups) text += " " + group;
  }
  return text;
}

const std::vector<std::string>& RecomputeParts() {
  static const std::vector<std::string> parts = {
      "norm",           "qkv_projection", "rope", "core_attention", "attention_output", "mla_up_projection", "mlp", "mlp_up",
      "mlp_activation", "mlp_down",       "moe",  "moe_activation", "shared_experts"};
  return parts;
}

const std::vector<std::string>& OverlapWords() {
  static const std::vector<std::string> words = {"none",    "serial",   "async_tp", "helix",
                                                 "lattice", "bucketed", "strands",  "gradient_buckets"};
  return words;
}

bool HidesCommunication(const Strategy& strategy) { return strategy.overlap != "none" && strategy.overlap != "serial"; }

bool IsTiled(const Strategy& strategy) {
  return HidesCommunication(strategy) && strategy.overlap != "strands" && strategy.overlap != "gradient_buckets";
}

std::vector<MeshDimension> MeshOf(const Strategy& strategy) {
  std::vector<MeshDimension> mesh = {{"tensor", strategy.tensor}, {"context", strategy.context}};
  const int64_t expert = ExpertDataRanks(strategy);
  if (strategy.expert > 1) mesh.push_back({"expert", expert});
  mesh.push_back({"data", DataShards(strategy) / (strategy.context * expert)});
  if (strategy.fsdp_replicate > 1) mesh.push_back({"replicate", strategy.fsdp_replicate});
  mesh.push_back({"pipeline", strategy.pipeline});
  return mesh;
}

int64_t MicroBatches(const Workload& workload, const Strategy& strategy) {
  if (!strategy.micro_batches.empty()) return std::ranges::max(strategy.micro_batches);
  return workload.global_batch / (strategy.micro_batch * strategy.data);
}

int64_t MicroBatchesOf(const Workload& workload, const Strategy& strategy, int64_t data_rank) {
  return strategy.micro_batches.empty() ? MicroBatches(workload, strategy) : strategy.micro_batches[static_cast<size_t>(data_rank)];
}

int64_t FirstSequence(const Workload& workload, const Strategy& strategy, int64_t data_rank) {
  int64_t before = 0;
  for (int64_t rank = 0; rank < data_rank; ++rank) before += MicroBatchesOf(workload, strategy, rank);
  return before * strategy.micro_batch;
}

std::vector<int64_t> ShareRanks(const Strategy& strategy) {
  const std::vector<int64_t>& counts = strategy.micro_batches;
  std::vector<int64_t> ranks;
  for (auto first = counts.begin(); first != counts.end();) {
    const auto end = std::find_if(first, counts.end(), [count = *first](int64_t other) { return other != count; });
    ranks.push_back(end - first);
    first = end;
  }
  return ranks.empty() ? std::vector{strategy.data} : ranks;
}

}  // namespace helm::ir
