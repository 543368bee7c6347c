// Verify: compares a run of a split model with a run of the unsplit one: the loss of every step, every gradient of the first step (before
// clipping) and every parameter after the last step.
//
// The error of a tensor in fp32 is max|a-b| / max(max|b|, 1e-3 x the largest |b| of that kind in the model), of a loss |a-b| / |b|; b is
// the unsplit run. Every replica on every rank is compared, not one of each. AdamW runs with epsilon 1e-4 on both sides: with the usual
// 1e-8 the first update of an element is its learning rate times the *sign* of the gradient, so rounding of a gradient near zero would be a
// large difference.
//
// In bf16 a parameter is judged by how far training moved it: root mean square of (a-b) / (learning rate x steps), which is as far as AdamW
// moves any element. Rounding moves single elements by all of that, whichever way, where the gradient is below its own noise; that is
// everything of a bias that began at zero and nothing of a large weight, so max|a-b| / max|b| says little. Over the tensor it averages out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/data_type.h"

namespace helm::exec {

// AdamW's epsilon on both sides of a comparison.
inline constexpr double kVerifyEpsilon = 1e-4;
// In fp32 with adapters 0.1. A run that is resumed has a B that is nothing but what the updates made it,
// learning_rate x g / (|g| + epsilon), and is measured against 1e-3 of the largest parameter. Clipped gradients are at most 1 and round to
// 1e-6 of that: a learning rate of 1e-3 makes 1e-3 x 1e-6 / epsilon = 1e-8 of it, 1e-5 of the measure; with 1e-4 a right run would fail.
double VerifyEpsilon(ir::DataType dtype, bool adapters);

enum class VerifyKind : uint8_t { kLoss, kGradient, kParameter };
std::string_view Name(VerifyKind kind);  // "loss", "gradient", "parameter"

// Largest error allowed. NaN and infinity on either side always exceed it.
struct VerifyBounds {
  double loss = 0;
  double gradient = 0;
  double parameter = 0;
  bool parameter_by_update = false;  // the error of a parameter is the one in learning rates
  double Of(VerifyKind kind) const;
};

// fp32: 1e-5 for all three. bf16: see docs/execution.md for where the numbers come from.
VerifyBounds BoundsFor(ir::DataType dtype);

struct VerifyError {
  VerifyKind kind = VerifyKind::kLoss;
  std::string tensor;  // Hugging Face name; for a loss "step 3"
  int64_t rank = 0;    // whose values differ most
  double error = 0;
};

struct VerifyResult {
  int64_t steps = 0;
  VerifyBounds bounds;
  double adamw_epsilon = kVerifyEpsilon;
  VerifyError worst;                 // the largest error in relation to its bound
  std::vector<VerifyError> by_kind;  // the worst of each kind: loss, gradient, parameter
  int64_t tensors = 0;               // compared, gradients and parameters together
  bool passed() const { return worst.error <= bounds.Of(worst.kind); }
};

}  // namespace helm::exec
