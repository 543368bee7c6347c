// What differs between devices in ATen's operators: names, existence, types of results. The only such place in the lowering.
//
// The CPU facts were checked with torch 2.11.0; CUDA's with its schemas and sources (aten/src/ATen/native/native_functions.yaml).
#pragma once

#include <vector>

#include "model/step.h"

namespace helm::model {

// _fused_rms_norm_backward is registered for CUDA only.
constexpr bool HasFusedRmsNormBackward(bool cuda) { return cuda; }

// native_layer_norm saves mean and rstd in the input's type on the CPU, in fp32 on CUDA.
constexpr ir::DataType LayerNormStatistics(bool cuda, ir::DataType input) { return cuda ? ir::DataType::kFloat32 : input; }

// The flash kernels want values as wide as queries and keys; with latent attention cuDNN's, which CUDA has, do not.
constexpr bool WantsEqualWidths(bool cuda) { return !cuda; }

// Causal attention of saved.query, .key, .value; sets saved.output and .extra. All kernels take fewer key-value heads than query heads.
void FlashForward(Step& step, AttentionSaved& saved);

// Heads lie next to head_dim in memory.
AttentionGradients FlashBackward(Step& step, const AttentionSaved& saved, ir::TensorId gradient);

}  // namespace helm::model
