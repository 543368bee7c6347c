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

// One attention kernel: [sequences, heads, positions, head_dim]; without `causal` every query sees every key. Keys and values may have
// fewer heads and other positions.
struct FlashInputs {
  ir::TensorId query, key, value;
  bool causal = true;
};
// `extra`: what its backward reads besides, the logarithm of the sum of exponentials first.
struct FlashOutputs {
  ir::TensorId output;
  std::vector<ir::Argument> extra;
};
FlashOutputs FlashForward(Step& step, const FlashInputs& inputs);

// Heads lie next to head_dim in memory. With the output and the logarithms of an attention over more keys than these, what these add to its
// gradients.
AttentionGradients FlashBackward(Step& step, const FlashInputs& inputs, const FlashOutputs& outputs, ir::TensorId gradient);

// The logarithms as a contiguous [sequences, positions, heads], and back to what the backward kernel reads. Not for latent attention.
ir::TensorId LogSumRows(Step& step, const FlashOutputs& outputs);
ir::TensorId LogSumOf(Step& step, ir::TensorId rows);

}  // namespace helm::model
