// Feed-forward layer: up projection (with a gate beside it), activation, down projection.
#include "core/check.h"
#include "model/step.h"

namespace helm::model {

using ir::Phase;
using ir::TensorId;

namespace {

// The gate's activation as a new tensor.
TensorId Activate(Step& step, TensorId x) {
  switch (step.model.activation) {
    case Activation::kSwiGlu:
      return step.b.Unary("aten.silu", x);
    case Activation::kGelu:
    case Activation::kGeGlu:
      return step.b.Gelu(x);
    case Activation::kSquaredRelu:
      return step.b.Unary("aten.relu", x);  // the caller squares it
  }
  HELM_CHECK(false, "an activation");
}

// One kernel adds the bias of the up projection and applies GELU.
bool FusesBias(const Step& step, const MlpParameters& mlp) {
  return mlp.up_bias >= 0 && step.model.activation == Activation::kGelu && step.software.fused.bias_activation;
}

// Gate and other half as saved.up: act(gate) x other half.
TensorId GatedProduct(Step& step, MlpSaved& saved) {
  ProgramBuilder& b = step.b;
  const int64_t f = b.shape(saved.up)[1] / 2;
  const FusedKernel kernel(b, step.software.fused.gated_activation);
  const TensorId activated = Activate(step, b.Slice(saved.up, 1, 0, f));
  const TensorId other = b.Slice(saved.up, 1, f, 2 * f);
  if (step.software.activation_recomputed) return b.Mul_(activated, other);
  saved.activated = activated;
  return b.Mul(activated, other);
}

}  // namespace

TensorId ActivationForward(Step& step, const MlpParameters& mlp, MlpSaved& saved) {
  ProgramBuilder& b = step.b;
  if (IsGated(step.model.activation)) return GatedProduct(step, saved);
  if (FusesBias(step, mlp)) {
    const FusedKernel kernel(b, true);
    return Activate(step, b.Add(saved.up, step.gradients.Weight(mlp.up_bias)));
  }
  const TensorId activated = Activate(step, saved.up);
  return step.model.activation == Activation::kSquaredRelu ? b.Mul_(activated, activated) : activated;
}

namespace {

// d gate = d product x up x act'(gate), d up = d product x act(gate), both into one matrix.
TensorId GatedBackward(Step& step, const MlpSaved& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  const TensorId up = saved.up;
  const int64_t rows = b.shape(up)[0], f = b.shape(up)[1] / 2;
  const TensorId gate = b.Slice(up, 1, 0, f);
  const TensorId result = b.NewEmpty(up, b.shape(up), b.dtype(up));
  const FusedKernel kernel(b, step.software.fused.gated_activation);
  if (!b.in_region()) b.SetPhase(Phase::kRecompute);
  const TensorId activated = saved.activated.valid() ? saved.activated : Activate(step, gate);
  b.SetPhase(Phase::kInputGradient);
  TensorId newest = b.MulOut(gradient, activated, b.Slice(result, 1, f, 2 * f));
  const TensorId of_activated = b.Mul_(gradient, b.Slice(up, 1, f, 2 * f));
  const TensorId of_gate = b.AsStrided(newest, {rows, f}, {2 * f, 1}, 0);
  newest = step.model.activation == Activation::kSwiGlu ? b.SiluBackwardOut(of_activated, gate, of_gate)
                                                        : b.GeluBackwardOut(of_activated, gate, of_gate);
  return b.Restride(newest, result);
}

}  // namespace

TensorId ActivationBackward(Step& step, const MlpParameters& mlp, const MlpSaved& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  if (IsGated(step.model.activation)) return GatedBackward(step, saved, gradient);
  if (FusesBias(step, mlp)) {
    const FusedKernel kernel(b, true);
    return b.GeluBackward(gradient, b.Add(saved.up, step.gradients.Weight(mlp.up_bias)));
  }
  if (step.model.activation == Activation::kGelu) return b.GeluBackward(gradient, saved.up);
  b.SetPhase(Phase::kRecompute);
  const TensorId positive = b.Unary("aten.relu", saved.up);
  b.SetPhase(Phase::kInputGradient);
  return b.MulScalar_(b.Mul_(gradient, positive), 2.0);  // d max(x, 0)^2 = 2 max(x, 0) dx
}

void MlpInner(Step& step, const MlpParameters& mlp, const std::string& label, TensorId rows, MlpSaved& saved, MlpParts parts) {
  step.b.Label(label + ".up");
  const ParameterIndex bias = FusesBias(step, mlp) ? -1 : mlp.up_bias;
  if (parts.up) saved.up = ColumnForward(step, rows, {mlp.up_weight, bias, &mlp.up_adapter}, &saved.up_linear);
  step.b.Label(label + ".activation");
  if (parts.activation) saved.product = ActivationForward(step, mlp, saved);
}

TensorId MlpForward(Step& step, const MlpParameters& mlp, const std::string& label, TensorId rows, MlpSaved& saved) {
  MlpInner(step, mlp, label, rows, saved);
  step.b.Label(label + ".down");
  return RowForward(step, saved.product, {mlp.down_weight, -1, &mlp.down_adapter}, &saved.down_linear);
}

TensorId MlpBackward(Step& step, const MlpParameters& mlp, const std::string& label, TensorId rows, const MlpSaved& saved,
                     TensorId gradient, bool attention_trained) {
  step.b.Label(label + ".down");
  const bool up_trained = !mlp.up_adapter.none();
  const TensorId of_product = RowBackward(step, saved.product, gradient, {mlp.down_weight, mlp.down_bias, &mlp.down_adapter},
                                          saved.down_linear, NeedsInputGradient(step, !attention_trained && !up_trained));
  if (!of_product.valid()) return {};
  step.b.Label(label + ".activation");
  const TensorId of_up = ActivationBackward(step, mlp, saved, of_product);
  step.b.Label(label + ".up");
  return ColumnBackward(step, rows, of_up, {mlp.up_weight, mlp.up_bias, &mlp.up_adapter}, saved.up_linear,
                        NeedsInputGradient(step, !attention_trained));
}

}  // namespace helm::model
