// Recomputed: which parts of one layer backward computes again, by `strategy.recompute`. A part that is computed again keeps only its input
// in forward; the inputs of parts in a row are those of the first.
//
// Nothing is said here of what `software` always computes again (the activation of a gate: `activation_recomputed`).
#pragma once

#include <vector>

#include "ir/strategy.h"
#include "model/model_spec.h"

namespace helm::model {

struct Recomputed {
  bool whole = false;              // the layer, from its input; then the others say nothing
  bool norm = false;               // the two norms of the layer
  bool qkv_projection = false;     // also with latent attention: from the layer's norm to the heads
  bool rope = false;               // norms of heads and rotary positions; nothing is kept of positions alone, which are turned in place
  bool core_attention = false;     // scores, softmax, their product with the values: the flash kernels, or what stands in their place
  bool attention_output = false;   // output projection and residual: the input of the second norm
  bool mla_up_projection = false;  // of latent attention: from the compressed vectors to the heads
  bool mlp_up = false;             // of a dense layer
  bool mlp_activation = false;     // of a dense layer
  bool moe = false;                // router, routed and shared experts
  bool moe_activation = false;     // of the routed experts
  bool shared_experts = false;     // up projection and activation
};

// By layer of the model. REQUIRES: CheckStrategy is ok.
std::vector<Recomputed> RecomputedByLayer(const ModelSpec& model, const ir::Strategy& strategy);

// How many layers at the start of each chunk are computed again (whole or in part); the others of it keep what backward reads.
int64_t RecomputedLayers(const ir::Strategy& strategy, int64_t chunk_layers);

}  // namespace helm::model
