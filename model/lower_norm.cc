// Forward and backward of RMSNorm and LayerNorm over the last dimension.
#include <optional>

#include "model/device_ops.h"
#include "model/step.h"

namespace helm::model {

using ir::DataType;
using ir::Phase;
using ir::Shape;
using ir::TensorId;

namespace {

// One statistic per row.
Shape RowShape(const Shape& shape) {
  Shape rows = shape;
  rows.back() = 1;
  return rows;
}

TensorId AsRows(Step& step, TensorId x) {
  const int64_t width = step.b.shape(x).back();
  return step.b.View(x, {ir::ElementCount(step.b.shape(x)) / width, width});
}

// What the rows are multiplied by in backward.
TensorId ScaleOf(Step& step, const NormSaved& saved, ParameterIndex weight) {
  return saved.scale.valid() ? saved.scale : step.gradients.Weight(weight);
}

// Written out as models in Python do it (LitGPT's and transformers' RMSNorm), one kernel an operation: in fp32, the result in the compute
// type, times the weight.
NormSaved RmsForwardDecomposed(Step& step, TensorId input, TensorId weight) {
  ProgramBuilder& b = step.b;
  NormSaved saved{input, {}, {}, {}, b.ToType(input, DataType::kFloat32), {}, {}};
  const int64_t last = static_cast<int64_t>(b.shape(input).size()) - 1;
  const TensorId mean = b.Mean(b.Mul(saved.wide, saved.wide), last);
  saved.rstd = b.Unary("aten.rsqrt", b.AddScalar(mean, step.model.norm_epsilon));
  saved.normalized = b.ToType(b.Mul(saved.wide, saved.rstd), step.workload.dtype);
  saved.output = b.Mul(saved.normalized, weight);
  return saved;
}

// ATen has no backward of _fused_rms_norm on the CPU. With n = x rstd, g = dy w:  dw = sum dy n,  dx = rstd (g - n mean(g n)).
// Computed in fp32 (the type of rstd), as the CUDA kernel does.
TensorId RmsBackwardDecomposed(Step& step, const NormSaved& saved, TensorId gradient, ParameterIndex weight) {
  ProgramBuilder& b = step.b;
  const TensorId w = ScaleOf(step, saved, weight);
  const int64_t last = static_cast<int64_t>(b.shape(gradient).size()) - 1;
  const TensorId normalized = b.Mul(saved.wide.valid() ? saved.wide : saved.input, saved.rstd);
  TensorId product = b.Mul(gradient, normalized);
  if (!step.gradients.Frozen(weight)) {
    b.SetPhase(Phase::kWeightGradient);
    const TensorId of_weight = saved.normalized.valid() ? b.Mul(gradient, saved.normalized) : product;
    step.gradients.WriteSum(weight, AsRows(step, of_weight));
    b.SetPhase(Phase::kInputGradient);
  }
  product = b.Mul_(product, w);
  const TensorId mean = b.Mul_(b.Mean(product, last), saved.rstd);
  TensorId result = b.Mul(gradient, saved.rstd);
  result = b.Mul_(result, w);
  result = b.Addcmul_(result, normalized, mean, -1.0);
  return b.ToType(result, step.workload.dtype);
}

NormSaved RmsForwardFused(Step& step, TensorId input, TensorId weight) {
  ProgramBuilder& b = step.b;
  const auto results = b.Compute("aten._fused_rms_norm", {input, b.shape(weight), weight, step.model.norm_epsilon},
                                 {{{b.dtype(input), b.shape(input), {}}}, {{DataType::kFloat32, RowShape(b.shape(input)), {}}}});
  return {input, results[0], {}, results[1], {}, {}, {}};
}

// A kernel's result that is the gradient of a weight; none of a frozen one.
std::optional<ProgramBuilder::ResultSpec> OfWeight(const Step& step, TensorId weight, bool trained) {
  if (!trained) return std::nullopt;
  return ProgramBuilder::ResultSpec{step.b.dtype(weight), step.b.shape(weight), {}};
}

TensorId RmsBackwardFused(Step& step, const NormSaved& saved, TensorId gradient, ParameterIndex weight) {
  ProgramBuilder& b = step.b;
  const TensorId w = ScaleOf(step, saved, weight);
  const bool trained = !step.gradients.Frozen(weight);
  const std::vector<TensorId> results =
      b.Compute("aten._fused_rms_norm_backward", {gradient, saved.input, b.shape(w), saved.rstd, w, std::vector<bool>{true, trained}},
                {{{b.dtype(gradient), b.shape(gradient), {}}}, OfWeight(step, w, trained)});
  if (!trained) return results[0];
  b.SetPhase(Phase::kWeightGradient);
  step.gradients.WriteValue(weight, results[1]);
  b.SetPhase(Phase::kInputGradient);
  return results[0];
}

TensorId LayerNormBackward(Step& step, const NormSaved& saved, TensorId gradient, ParameterIndex weight, ParameterIndex bias) {
  ProgramBuilder& b = step.b;
  const TensorId w = ScaleOf(step, saved, weight);
  const bool trained = !step.gradients.Frozen(weight);
  const auto of_weight = OfWeight(step, w, trained);
  const std::vector<TensorId> results = b.Compute("aten.native_layer_norm_backward",
                                                  {gradient, saved.input, b.shape(w), saved.mean, saved.rstd, w,
                                                   step.gradients.Weight(bias), std::vector<bool>{true, trained, trained}},
                                                  {{{b.dtype(gradient), b.shape(gradient), {}}}, of_weight, of_weight});
  if (!trained) return results[0];
  b.SetPhase(Phase::kWeightGradient);
  step.gradients.WriteValue(weight, results[1]);
  step.gradients.WriteValue(bias, results[2]);
  b.SetPhase(Phase::kInputGradient);
  return results[0];
}

NormSaved LayerNormForward(Step& step, TensorId input, ParameterIndex weight, ParameterIndex bias) {
  ProgramBuilder& b = step.b;
  const bool less_one = IsLessOne(step.model.norm);
  const FusedKernel kernel(b, step.cuda && less_one);  // kernels for it add the one themselves (Apex, Transformer Engine)
  TensorId scale = step.gradients.Weight(weight);
  if (less_one) scale = b.AddScalar(scale, 1.0);
  const ProgramBuilder::ResultSpec output{b.dtype(input), b.shape(input), {}};
  const ProgramBuilder::ResultSpec statistic{LayerNormStatistics(step.cuda, b.dtype(input)), RowShape(b.shape(input)), {}};
  const auto results =
      b.Compute("aten.native_layer_norm", {input, b.shape(scale), scale, step.gradients.Weight(bias), step.model.norm_epsilon},
                {output, statistic, statistic});
  return {input, results[0], results[1], results[2], {}, {}, less_one ? scale : TensorId()};
}

}  // namespace

NormSaved NormForward(Step& step, TensorId input, ParameterIndex weight, ParameterIndex bias) {
  ProgramBuilder& b = step.b;
  if (bias >= 0) return LayerNormForward(step, input, weight, bias);
  const bool less_one = IsLessOne(step.model.norm);
  const FusedKernel kernel(b, step.cuda && less_one && step.software.fused.norm);  // as above
  TensorId w = step.gradients.Weight(weight);
  if (less_one) w = b.AddScalar(w, 1.0);
  NormSaved saved = step.software.fused.norm ? RmsForwardFused(step, input, w) : RmsForwardDecomposed(step, input, w);
  if (less_one) saved.scale = w;
  return saved;
}

TensorId NormBackward(Step& step, const NormSaved& saved, TensorId gradient, ParameterIndex weight, ParameterIndex bias) {
  step.b.SetPhase(Phase::kInputGradient);
  if (bias >= 0) return LayerNormBackward(step, saved, gradient, weight, bias);
  return HasFusedRmsNormBackward(step.cuda) && step.software.fused.norm ? RmsBackwardFused(step, saved, gradient, weight)
                                                                        : RmsBackwardDecomposed(step, saved, gradient, weight);
}

}  // namespace helm::model
