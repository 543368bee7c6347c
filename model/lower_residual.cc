// The end of a residual branch: bias, dropout, residual; one kernel where the framework has it (Megatron's bias_dropout_add).
#include "model/step.h"

namespace helm::model {

using ir::TensorId;

// The branch's own buffer carries the sum: `residual` stays, as the input of the norm before it.
TensorId AddBranch(Step& step, TensorId x, ParameterIndex bias, TensorId residual, const char* residual_label, TensorId& mask) {
  ProgramBuilder& b = step.b;
  const double probability = step.software.hidden_dropout;
  const FusedKernel kernel(b, step.software.fused.bias_dropout_add && (bias >= 0 || probability > 0));
  if (bias >= 0) x = b.Add_(x, step.gradients.Weight(bias));
  b.Label(residual_label);
  if (probability > 0) {
    const ProgramBuilder::Dropped dropped = b.NativeDropout(x, probability);
    mask = dropped.mask;
    x = dropped.output;
  }
  return b.Add_(x, residual);
}

TensorId BranchGradient(Step& step, TensorId gradient, TensorId mask) {
  return mask.valid() ? step.b.NativeDropoutBackward(gradient, mask, step.software.hidden_dropout) : gradient;
}

}  // namespace helm::model
