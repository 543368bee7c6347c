// Linear layers whose weight is split over the tensor group, by output features (column) or input features (row), as Megatron-LM does.
#include "model/step.h"

namespace helm::model {

using ir::Phase;
using ir::TensorId;

TensorId GatherRows(Step& step, TensorId rows) {
  if (!step.sequence_parallel) return rows;
  return step.b.Wait(step.b.AllGather(rows, step.tensor_group));
}

PendingRows StartReduceRows(Step& step, TensorId partial) {
  if (!step.tensor_parallel) return {partial, false, {}};
  const Pending pending =
      step.sequence_parallel ? step.b.ReduceScatter(partial, step.tensor_group) : step.b.AllReduce(partial, step.tensor_group);
  return {pending.result, true, pending};
}

TensorId FinishReduceRows(Step& step, const PendingRows& rows) { return rows.pending ? step.b.Wait(rows.collective) : rows.value; }

TensorId ColumnForward(Step& step, TensorId rows, ParameterIndex weight, ParameterIndex bias) {
  ProgramBuilder& b = step.b;
  const TensorId input = GatherRows(step, rows);
  const TensorId transposed = b.T(step.gradients.Weight(weight));
  return bias < 0 ? b.Mm(input, transposed) : b.Addmm(step.gradients.Weight(bias), input, transposed);
}

TensorId ColumnBackward(Step& step, TensorId rows, TensorId gradient, ParameterIndex weight, ParameterIndex bias) {
  ProgramBuilder& b = step.b;
  b.SetPhase(Phase::kInputGradient);
  Pending gathering;  // the gathered input was freed after forward; it comes back while the input gradient is computed
  if (step.sequence_parallel) gathering = b.AllGather(rows, step.tensor_group);
  const TensorId input_gradient = b.Mm(gradient, step.gradients.Weight(weight));
  const TensorId input = step.sequence_parallel ? b.Wait(gathering) : rows;
  const PendingRows reducing = StartReduceRows(step, input_gradient);
  b.SetPhase(Phase::kWeightGradient);
  step.gradients.WriteProduct(weight, gradient, input, {});
  if (bias >= 0) step.gradients.WriteSum(bias, gradient);
  b.SetPhase(Phase::kInputGradient);
  return FinishReduceRows(step, reducing);
}

TensorId RowForward(Step& step, TensorId input, ParameterIndex weight, ParameterIndex bias) {
  ProgramBuilder& b = step.b;
  const TensorId partial = b.Mm(input, b.T(step.gradients.Weight(weight)));
  const TensorId output = FinishReduceRows(step, StartReduceRows(step, partial));
  return bias < 0 ? output : b.Add_(output, step.gradients.Weight(bias));
}

TensorId RowBackward(Step& step, TensorId input, TensorId gradient, ParameterIndex weight, ParameterIndex bias) {
  ProgramBuilder& b = step.b;
  b.SetPhase(Phase::kInputGradient);
  const TensorId all_rows = GatherRows(step, gradient);
  const TensorId input_gradient = b.Mm(all_rows, step.gradients.Weight(weight));
  b.SetPhase(Phase::kWeightGradient);
  step.gradients.WriteProduct(weight, all_rows, input, {});
  if (bias >= 0) step.gradients.WriteSum(bias, gradient);
  b.SetPhase(Phase::kInputGradient);
  return input_gradient;
}

}  // namespace helm::model
