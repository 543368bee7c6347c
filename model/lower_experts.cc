// A layer with experts: tokens are copied into the slots of their experts, travel to the ranks that hold these, go through the experts' two
// products and back, and are added up by their weights. Forward and backward.
//
// With expert parallelism a rank sends the slots of each expert to the rank that holds it, by an all-to-all in equal parts. Where the
// experts are split over the tensor ranks, too (`expert_tensor`), sequence parallelism has each of these hold other tokens: they are
// gathered behind the all-to-all, and the partial outputs reduced and scattered before it on the way back (Megatron Core's all-to-all
// dispatcher). Both ways are each other's transposes, so backward goes them in the other order.
#include "model/step.h"

namespace helm::model {

using ir::DataType;
using ir::Phase;
using ir::Shape;
using ir::TensorId;

namespace {

// Experts of this rank.
int64_t OwnExperts(const Step& step) { return step.sizes.experts / step.strategy.expert; }

// Swaps the first two dimensions of [outer, inner, capacity, hidden] in memory; only a view where one of them is 1.
TensorId Regroup(Step& step, TensorId x, int64_t outer, int64_t inner) {
  ProgramBuilder& b = step.b;
  if (outer == 1 || inner == 1) return x;
  const int64_t capacity = step.sizes.capacity, hidden = step.model.hidden;
  b.Label("moe.regroup");
  const TensorId from = b.Transpose(b.View(x, {outer, inner, capacity, hidden}), 0, 1);
  return b.Copy_(b.NewEmpty(x, {inner, outer, capacity, hidden}, b.dtype(x)), from);
}

// From this rank's slots at all experts [experts x capacity, hidden] to all ranks' slots at its own [experts, slots, hidden].
TensorId SendToExperts(Step& step, TensorId slots) {
  ProgramBuilder& b = step.b;
  b.Label("moe.dispatch");
  TensorId x = slots;
  if (step.strategy.expert > 1) x = b.Wait(b.AllToAll(x, step.expert_group));
  if (step.strategy.expert_tensor > 1) x = GatherRows(step, x);
  const int64_t experts = OwnExperts(step);
  const int64_t each = b.shape(x)[0] / experts;
  return b.View(Regroup(step, x, each / step.sizes.capacity, experts), {experts, each, step.model.hidden});
}

// The way back; sums what the tensor ranks have of an expert's output.
TensorId ReturnFromExperts(Step& step, TensorId outputs) {
  ProgramBuilder& b = step.b;
  const int64_t experts = OwnExperts(step), each = b.shape(outputs)[1];
  TensorId x = b.View(Regroup(step, outputs, experts, each / step.sizes.capacity), {experts * each, step.model.hidden});
  b.Label("moe.return");
  if (step.strategy.expert_tensor > 1) x = FinishReduceRows(step, StartReduceRows(step, x));
  if (step.strategy.expert > 1) x = b.Wait(b.AllToAll(x, step.expert_group));
  return x;
}

TensorId OneByOne(Step& step, TensorId a, TensorId b, TensorId into) {
  ProgramBuilder& builder = step.b;
  TensorId newest = into;
  for (int64_t i = 0; i < builder.shape(into)[0]; ++i) {
    Shape one = builder.shape(into);
    one[0] = 1;
    const TensorId out = builder.AsStrided(newest, one, builder.tensor(into).strides, i * builder.tensor(into).strides[0]);
    newest = builder.BmmOut(builder.Slice(a, 0, i, i + 1), builder.Slice(b, 0, i, i + 1), out);
  }
  return builder.Restride(newest, into);
}

// The products of all experts of the rank: in one kernel, or, where the framework has no grouped product, one after the other.
TensorId Products(Step& step, TensorId a, TensorId b) {
  ProgramBuilder& builder = step.b;
  if (step.software.expert_grouped_gemm || builder.shape(a)[0] == 1) return builder.Bmm(a, b);
  const Shape shape = {builder.shape(a)[0], builder.shape(a)[1], builder.shape(b)[2]};
  return OneByOne(step, a, b, builder.NewEmpty(a, shape, builder.dtype(a)));
}

void WriteProducts(Step& step, ParameterIndex index, TensorId output_gradient, TensorId input) {
  ProgramBuilder& b = step.b;
  if (step.software.expert_grouped_gemm || b.shape(input)[0] == 1) return step.gradients.WriteProduct(index, output_gradient, input);
  step.gradients.WriteValue(index, Products(step, b.Transpose(output_gradient, 1, 2), input));
}

// Splits the first dimension of a matrix by expert, and joins it again.
TensorId ByExpert(Step& step, TensorId x) {
  const int64_t experts = OwnExperts(step);
  return step.b.View(x, {experts, step.b.shape(x)[0] / experts, step.b.shape(x)[1]});
}
TensorId AsMatrix(Step& step, TensorId x) {
  const Shape shape = step.b.shape(x);
  return step.b.View(x, {shape[0] * shape[1], shape[2]});
}

TensorId ProductsForward(Step& step, TensorId input, ParameterIndex weight) {
  if (step.fp8.on) return Fp8ExpertsForward(step, input, weight);
  return Products(step, input, step.b.Transpose(step.gradients.Weight(weight), 1, 2));
}

// The gradient of the input; writes that of the weights.
TensorId ProductsBackward(Step& step, TensorId input, TensorId gradient, ParameterIndex weight) {
  if (step.fp8.on) return Fp8ExpertsBackward(step, input, gradient, weight);
  const TensorId of_input = Products(step, gradient, step.gradients.Weight(weight));
  WeightGradient(step, [&step, gradient, input, weight] { WriteProducts(step, weight, gradient, input); });
  return of_input;
}

// The input of the experts' down projections.
void Activate(Step& step, MoeSaved& saved) {
  step.b.Label("moe.activation");
  saved.mlp.product = ActivationForward(step, {}, saved.mlp);
  step.b.Label("moe.down");
  saved.by_expert = ByExpert(step, saved.mlp.product);
}

TensorId ExpertsForward(Step& step, const ExpertParameters& experts, MoeSaved& saved) {
  step.b.Label("moe.up");
  saved.mlp.up = AsMatrix(step, ProductsForward(step, saved.input, experts.up_weight));
  Activate(step, saved);
  return ProductsForward(step, saved.by_expert, experts.down_weight);
}

// From the gradient of the experts' outputs to that of their inputs, [experts, slots, hidden].
TensorId ExpertsBackward(Step& step, const ExpertParameters& experts, const MoeSaved& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  b.Label("moe.down");
  const TensorId of_product = ProductsBackward(step, saved.by_expert, gradient, experts.down_weight);
  b.Label("moe.activation");
  const TensorId of_up = ByExpert(step, ActivationBackward(step, {}, saved.mlp, AsMatrix(step, of_product)));
  b.Label("moe.up");
  return ProductsBackward(step, saved.input, of_up, experts.up_weight);
}

// Adds each slot to its token's row.
TensorId AddSlots(Step& step, const RouterSaved& router, TensorId slots) {
  ProgramBuilder& b = step.b;
  const TensorId zeros = b.NewZeros(slots, {step.sizes.row_tokens, step.model.hidden}, b.dtype(slots));
  return b.IndexAdd_(zeros, 0, router.slots, slots);
}

void RoutedForward(Step& step, const LayerParameters& layer, TensorId rows, MoeSaved& saved) {
  RouterForward(step, layer.experts, rows, saved.router);
  step.b.Label("moe.permute");
  saved.input = SendToExperts(step, step.b.IndexSelect(rows, 0, saved.router.slots));
  saved.returned = ReturnFromExperts(step, ExpertsForward(step, layer.experts, saved));
}

TensorId RoutedBackward(Step& step, const LayerParameters& layer, TensorId rows, const MoeSaved& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  b.Label("moe.combine");
  TensorId of_slots = b.IndexSelect(gradient, 0, saved.router.slots);
  const TensorId of_gates =
      b.View(b.Sum(b.Mul(of_slots, saved.returned), 1, false, DataType::kFloat32), {step.sizes.experts, step.sizes.capacity});
  of_slots = b.Mul_(of_slots, saved.router.gates);
  const TensorId of_input = ExpertsBackward(step, layer.experts, saved, SendToExperts(step, of_slots));
  const TensorId of_permuted = ReturnFromExperts(step, of_input);
  b.Label("moe.permute");
  const TensorId of_rows = AddSlots(step, saved.router, of_permuted);
  return RouterBackward(step, layer.experts, rows, saved.router, of_gates, of_rows);
}

}  // namespace

TensorId MoeForward(Step& step, const LayerParameters& layer, TensorId rows, MoeSaved& saved) {
  ProgramBuilder& b = step.b;
  RoutedForward(step, layer, rows, saved);
  b.Label("moe.combine");
  const TensorId output = AddSlots(step, saved.router, b.Mul(saved.returned, saved.router.gates));
  if (layer.shared.up_weight < 0) return output;
  const TensorId shared = MlpForward(step, layer.shared, "moe.shared", rows, saved.shared);
  b.Label("moe.combine");
  return b.Add_(output, shared);
}

void MoeInner(Step& step, const LayerParameters& layer, TensorId rows, MoeSaved& saved) {
  RoutedForward(step, layer, rows, saved);
  if (layer.shared.up_weight >= 0) MlpInner(step, layer.shared, "moe.shared", rows, saved.shared);
}

void RepeatMoe(Step& step, const LayerParameters& layer, TensorId rows, MoeSaved& saved) {
  const Recomputed& again = RecomputedHere(step);
  if (again.moe) return MoeInner(step, layer, rows, saved);
  if (again.moe_activation) Activate(step, saved);
  if (again.shared_experts && layer.shared.up_weight >= 0) MlpInner(step, layer.shared, "moe.shared", rows, saved.shared);
}

TensorId MoeBackward(Step& step, const LayerParameters& layer, TensorId rows, const MoeSaved& saved, TensorId gradient) {
  step.b.SetPhase(Phase::kInputGradient);
  const TensorId routed = RoutedBackward(step, layer, rows, saved, gradient);
  if (layer.shared.up_weight < 0) return routed;
  const TensorId shared = MlpBackward(step, layer.shared, "moe.shared", rows, saved.shared, gradient);
  step.b.Label("moe.combine");
  return step.b.Add_(routed, shared);
}

}  // namespace helm::model
