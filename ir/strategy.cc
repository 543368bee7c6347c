#include "ir/strategy.h"

namespace helm::ir {
namespace {

void AppendNumber(std::string& text, const char* name, int64_t value) { text += std::string(", ") + name + " " + std::to_string(value); }

void AppendUnless(std::string& text, const char* name, int64_t value, int64_t usual) {
  if (value != usual) AppendNumber(text, name, value);
}

void AppendUnless(std::string& text, const char* name, const std::string& value, const std::string& usual) {
  if (value != usual) text += std::string(", ") + name + " " + value;
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
  AppendNumber(text, "micro_batch", strategy.micro_batch);
  AppendUnless(text, "recompute", strategy.recompute, usual.recompute);
  AppendUnless(text, "schedule", strategy.schedule, usual.schedule);
  AppendUnless(text, "overlap", strategy.overlap, usual.overlap);
  return text;
}

std::vector<MeshDimension> MeshOf(const Strategy& strategy) {
  return {{"tensor", strategy.tensor}, {"context", strategy.context}, {"data", strategy.data}, {"pipeline", strategy.pipeline}};
}

}  // namespace helm::ir
