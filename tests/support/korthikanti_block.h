// GPT-3's block as Korthikanti et al. 2022 (arXiv 2205.05198) count it: s = 16, b = 3, h = 64, a = 4, learned positions, 4h.
#pragma once

#include <cstdint>

#include "model/model_spec.h"

namespace helm::test::korthikanti {

constexpr int64_t kS = 16, kB = 3, kH = 64, kA = 4;
constexpr int64_t kTokensHidden = kS * kB * kH;  // sbh
constexpr int64_t kScores = kA * kS * kS * kB;   // a s^2 b
// Mean and reciprocal deviation of two layer norms, fp32, which the paper leaves out ("negligible"): 16 bytes a row.
constexpr int64_t kStatistics = 2 * 2 * 4 * kS * kB;

inline model::ModelSpec Gpt(int64_t layers) {
  model::ModelSpec model;
  model.name = "gpt";
  model.family = model::Family::kGpt;
  model.layers = layers;
  model.hidden = kH;
  model.ffn = 4 * kH;
  model.heads = model.kv_heads = kA;
  model.head_dim = kH / kA;
  model.vocab = 64;
  model.max_positions = kS;
  model.activation = model::Activation::kGelu;
  model.norm = model::Norm::kLayerNorm;
  model.position = model::Position::kLearned;
  model.bias = true;
  return model;
}

}  // namespace helm::test::korthikanti
