// Linear layers whose weight is split over the tensor group, by output features (column) or input features (row), as Megatron-LM does.
#include <utility>

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

const Recomputed& RecomputedHere(const Step& step) { return step.recomputed[static_cast<size_t>(step.b.layer())]; }

void WeightGradient(Step& step, std::function<void()> write) {
  if (step.postponed == nullptr) {
    step.b.SetPhase(Phase::kWeightGradient);
    write();
  } else {
    ProgramBuilder::Place place = step.b.place();
    place.phase = Phase::kWeightGradient;
    step.postponed->push_back([&step, place, write = std::move(write)] {
      step.b.At(place);
      write();
    });
  }
  step.b.SetPhase(Phase::kInputGradient);
}

TensorId ColumnForward(Step& step, TensorId rows, ParameterIndex weight, ParameterIndex bias) {
  if (step.fp8.on) return Fp8ColumnForward(step, rows, weight, bias);
  ProgramBuilder& b = step.b;
  const TensorId input = GatherRows(step, rows);
  const TensorId transposed = b.T(step.gradients.Weight(weight));
  if (bias < 0) return b.Mm(input, transposed);
  if (step.software.fused.linear_bias) return b.Addmm(step.gradients.Weight(bias), input, transposed);
  return b.Add_(b.Mm(input, transposed), step.gradients.Weight(bias));
}

TensorId ColumnBackward(Step& step, TensorId rows, TensorId gradient, ParameterIndex weight, ParameterIndex bias) {
  if (step.fp8.on) return Fp8ColumnBackward(step, rows, gradient, weight, bias);
  ProgramBuilder& b = step.b;
  b.SetPhase(Phase::kInputGradient);
  // The gathered input was freed after forward; it comes back while the input gradient is computed, or with a postponed weight gradient.
  const bool gather_now = step.sequence_parallel && step.postponed == nullptr;
  Pending gathering;
  if (gather_now) gathering = b.AllGather(rows, step.tensor_group);
  const TensorId input_gradient = b.Mm(gradient, step.gradients.Weight(weight));
  const TensorId gathered = gather_now ? b.Wait(gathering) : TensorId();
  PendingRows reducing = StartReduceRows(step, input_gradient);
  if (!step.software.tensor_backward_overlap) reducing = {FinishReduceRows(step, reducing), false, {}};
  WeightGradient(step, [&step, rows, gathered, gradient, weight, bias] {
    const TensorId input = gathered.valid() ? gathered : GatherRows(step, rows);
    step.gradients.WriteProduct(weight, gradient, input);
    if (bias >= 0) step.gradients.WriteSum(bias, gradient);
  });
  return FinishReduceRows(step, reducing);
}

TensorId RowForward(Step& step, TensorId input, ParameterIndex weight) {
  if (step.fp8.on) return Fp8RowForward(step, input, weight);
  return FinishReduceRows(step, StartReduceRows(step, step.b.Mm(input, step.b.T(step.gradients.Weight(weight)))));
}

TensorId RowBackward(Step& step, TensorId input, TensorId gradient, ParameterIndex weight, ParameterIndex bias) {
  if (step.fp8.on) return Fp8RowBackward(step, input, gradient, weight, bias);
  ProgramBuilder& b = step.b;
  b.SetPhase(Phase::kInputGradient);
  const TensorId all_rows = GatherRows(step, gradient);
  const TensorId input_gradient = b.Mm(all_rows, step.gradients.Weight(weight));
  WeightGradient(step, [&step, all_rows, input, gradient, weight, bias] {
    step.gradients.WriteProduct(weight, all_rows, input);
    if (bias >= 0) step.gradients.WriteSum(bias, gradient);
  });
  return input_gradient;
}

}  // namespace helm::model
