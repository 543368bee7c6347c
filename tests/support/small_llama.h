// The Llama whose lowered programs tests count by hand: sizes that differ from each other, with grouped-query attention.
#pragma once

#include <cstdint>

#include "model/model_spec.h"

namespace helm::test {

inline model::ModelSpec SmallLlama(int64_t layers = 2) {
  model::ModelSpec model;
  model.name = "test";
  model.layers = layers;
  model.hidden = 24;
  model.ffn = 40;
  model.heads = 4;
  model.kv_heads = 2;
  model.head_dim = 6;
  model.vocab = 50;
  return model;
}

}  // namespace helm::test
