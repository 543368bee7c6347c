// One transformer layer: two pre-norm residual branches, attention and feed-forward.
#include "model/step.h"

namespace helm::model {

using ir::Phase;
using ir::TensorId;

TensorId BlockForward(Step& step, int64_t layer, int32_t micro_batch, TensorId rows, BlockSaved& saved) {
  ProgramBuilder& b = step.b;
  const LayerParameters& parameters = step.plan.layers[static_cast<size_t>(layer)];
  b.At(Phase::kForward, static_cast<int32_t>(layer), micro_batch);
  b.Label("attention.norm");
  saved.norm1 = NormForward(step, rows, parameters.norm1_weight, parameters.norm1_bias);
  const TensorId attention = AttentionForward(step, parameters, saved.norm1.output, saved.attention);
  b.Label("attention.residual");
  const TensorId middle = b.Add_(attention, rows);  // `rows` stays as the norm's input; the branch's own buffer carries the sum
  b.Label("mlp.norm");
  saved.norm2 = NormForward(step, middle, parameters.norm2_weight, parameters.norm2_bias);
  const TensorId mlp = MlpForward(step, parameters, saved.norm2.output, saved.mlp);
  b.Label("mlp.residual");
  return b.Add_(mlp, middle);
}

TensorId BlockBackward(Step& step, int64_t layer, int32_t micro_batch, const BlockSaved& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  const LayerParameters& parameters = step.plan.layers[static_cast<size_t>(layer)];
  b.At(Phase::kInputGradient, static_cast<int32_t>(layer), micro_batch);
  TensorId of_branch = MlpBackward(step, parameters, saved.norm2.output, saved.mlp, gradient);
  b.Label("mlp.norm");
  of_branch = NormBackward(step, saved.norm2, of_branch, parameters.norm2_weight, parameters.norm2_bias);
  b.Label("mlp.residual");
  const TensorId middle = b.Add_(of_branch, gradient);
  of_branch = AttentionBackward(step, parameters, saved.norm1.output, saved.attention, middle);
  b.Label("attention.norm");
  of_branch = NormBackward(step, saved.norm1, of_branch, parameters.norm1_weight, parameters.norm1_bias);
  b.Label("attention.residual");
  return b.Add_(of_branch, middle);
}

}  // namespace helm::model
