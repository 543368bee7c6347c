// AnyRecompute: random recomputation for property tests: a word, or chosen parts that the model has, in all layers or the first ones.
#pragma once

#include <string>

#include <rapidcheck.h>

#include "ir/strategy.h"
#include "model/model_spec.h"

namespace helm::test {

inline bool HasPart(const model::ModelSpec& model, const std::string& part) {
  if (part == "mla_up_projection") return model.mla.kv_lora > 0;
  if (part == "shared_experts") return model.moe.shared_ffn > 0;
  if (part.starts_with("moe")) return model.moe.experts > 0;
  return !part.starts_with("mlp") || model::HasDenseLayers(model);
}

// Sets what `strategy` recomputes; its `context` must be set before.
inline void RecomputeAnything(const model::ModelSpec& model, ir::Strategy& strategy) {
  strategy.recompute = *rc::gen::element<std::string>("none", "selective", "full", "custom");
  if (strategy.recompute != "custom") return;
  strategy.recompute_layers = *rc::gen::inRange<int64_t>(0, 4);
  for (const std::string& part : ir::RecomputeParts()) {
    if (HasPart(model, part) && *rc::gen::arbitrary<bool>()) strategy.recompute_ops.push_back(part);
  }
  const bool whole = strategy.recompute_ops.empty();
  if (whole && strategy.recompute_layers == 0) strategy.recompute_layers = 1;
  if (!whole && strategy.context > 1) strategy.recompute_ops.emplace_back("core_attention");
}

}  // namespace helm::test
