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

TensorId Product(Step& step, TensorId up) {
  ProgramBuilder& b = step.b;
  const int64_t f = step.sizes.ffn;
  if (IsGated(step.model.activation)) return b.Mul_(Activate(step, b.Slice(up, 1, 0, f)), b.Slice(up, 1, f, 2 * f));
  const TensorId activated = Activate(step, up);
  return step.model.activation == Activation::kSquaredRelu ? b.Mul_(activated, activated) : activated;
}

// d gate = d product x up x act'(gate), d up = d product x act(gate), both into one matrix.
TensorId GatedBackward(Step& step, TensorId up, TensorId gradient) {
  ProgramBuilder& b = step.b;
  const int64_t f = step.sizes.ffn;
  const TensorId gate = b.Slice(up, 1, 0, f);
  const TensorId result = b.NewEmpty(up, b.shape(up), b.dtype(up));
  b.SetPhase(Phase::kRecompute);
  const TensorId activated = Activate(step, gate);
  b.SetPhase(Phase::kInputGradient);
  TensorId newest = b.MulOut(gradient, activated, b.Slice(result, 1, f, 2 * f));
  const TensorId of_activated = b.Mul_(gradient, b.Slice(up, 1, f, 2 * f));
  const TensorId of_gate = b.AsStrided(newest, {step.sizes.tokens, f}, {2 * f, 1}, 0);
  newest = step.model.activation == Activation::kSwiGlu ? b.SiluBackwardOut(of_activated, gate, of_gate)
                                                        : b.GeluBackwardOut(of_activated, gate, of_gate);
  return b.Restride(newest, result);
}

TensorId ActivationBackward(Step& step, TensorId up, TensorId gradient) {
  ProgramBuilder& b = step.b;
  if (IsGated(step.model.activation)) return GatedBackward(step, up, gradient);
  if (step.model.activation == Activation::kGelu) return b.GeluBackward(gradient, up);
  b.SetPhase(Phase::kRecompute);
  const TensorId positive = b.Unary("aten.relu", up);
  b.SetPhase(Phase::kInputGradient);
  return b.MulScalar_(b.Mul_(gradient, positive), 2.0);  // d max(x, 0)^2 = 2 max(x, 0) dx
}

}  // namespace

void MlpInner(Step& step, const LayerParameters& layer, TensorId rows, MlpSaved& saved) {
  step.b.Label("mlp.up");
  saved.up = ColumnForward(step, rows, layer.up_weight, layer.up_bias);
  step.b.Label("mlp.activation");
  saved.product = Product(step, saved.up);
}

TensorId MlpForward(Step& step, const LayerParameters& layer, TensorId rows, MlpSaved& saved) {
  MlpInner(step, layer, rows, saved);
  step.b.Label("mlp.down");
  return RowForward(step, saved.product, layer.down_weight, layer.down_bias);
}

TensorId MlpBackward(Step& step, const LayerParameters& layer, TensorId rows, const MlpSaved& saved, TensorId gradient) {
  step.b.Label("mlp.down");
  const TensorId of_product = RowBackward(step, saved.product, gradient, layer.down_weight, layer.down_bias);
  step.b.Label("mlp.activation");
  const TensorId of_up = ActivationBackward(step, saved.up, of_product);
  step.b.Label("mlp.up");
  return ColumnBackward(step, rows, of_up, layer.up_weight, layer.up_bias);
}

}  // namespace helm::model
