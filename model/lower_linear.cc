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

bool NeedsInputGradient(const Step& step, bool first) { return !(step.ends_in_first_layer && step.b.layer() == 0 && first); }

TensorId ColumnForward(Step& step, TensorId rows, const LinearParameters& linear, LinearSaved* saved) {
  if (step.fp8.on) return Fp8ColumnForward(step, rows, linear.weight, linear.bias);
  ProgramBuilder& b = step.b;
  const TensorId input = GatherRows(step, rows);
  const TensorId transposed = b.T(step.gradients.Weight(linear.weight));
  TensorId output;
  if (linear.bias < 0) {
    output = b.Mm(input, transposed);
  } else if (step.software.fused.linear_bias) {
    output = b.Addmm(step.gradients.Weight(linear.bias), input, transposed);
  } else {
    output = b.Add_(b.Mm(input, transposed), step.gradients.Weight(linear.bias));
  }
  if (!HasAdapter(linear)) return output;
  saved->low = AdapterDown(step, input, *linear.adapter);
  return AddAdapter(step, output, saved->low, *linear.adapter);
}

namespace {

// Weight, bias and adapter, as far as they are trained. `of_low`: of an adapter.
void WriteLinearGradients(Step& step, const LinearParameters& linear, TensorId input, TensorId low, TensorId gradient, TensorId of_low) {
  if (!step.gradients.Frozen(linear.weight)) step.gradients.WriteProduct(linear.weight, gradient, input);
  if (HasAdapter(linear)) WriteAdapterGradients(step, *linear.adapter, input, low, gradient, of_low);
}

// Whether something of it is trained, whose gradient its input makes.
bool IsTrained(const Step& step, const LinearParameters& linear) { return HasAdapter(linear) || !step.gradients.Frozen(linear.weight); }

// W^T times the gradient of the output, and A^T times that of A x.
TensorId InputGradient(Step& step, TensorId gradient, const LinearParameters& linear, TensorId of_low) {
  ProgramBuilder& b = step.b;
  const TensorId input_gradient = b.Mm(gradient, step.gradients.Weight(linear.weight));
  return HasAdapter(linear) ? b.Add_(input_gradient, b.Mm(of_low, step.gradients.Weight(linear.adapter->a))) : input_gradient;
}

}  // namespace

TensorId ColumnBackward(Step& step, TensorId rows, TensorId gradient, const LinearParameters& linear, const LinearSaved& saved,
                        bool input_needed) {
  if (step.fp8.on) return Fp8ColumnBackward(step, rows, gradient, linear.weight, linear.bias);
  ProgramBuilder& b = step.b;
  b.SetPhase(Phase::kInputGradient);
  // The gathered input was freed after forward; it comes back while the input gradient is computed, or with a postponed weight gradient.
  const bool gather_now = step.sequence_parallel && step.postponed == nullptr && IsTrained(step, linear);
  Pending gathering;
  if (gather_now) gathering = b.AllGather(rows, step.tensor_group);
  const TensorId of_low = HasAdapter(linear) ? AdapterGradient(step, gradient, *linear.adapter) : TensorId();
  const TensorId input_gradient = input_needed ? InputGradient(step, gradient, linear, of_low) : TensorId();
  const TensorId gathered = gather_now ? b.Wait(gathering) : TensorId();
  PendingRows reducing = input_needed ? StartReduceRows(step, input_gradient) : PendingRows();
  if (!step.software.tensor_backward_overlap) reducing = {FinishReduceRows(step, reducing), false, {}};
  if (IsTrained(step, linear)) {
    WeightGradient(step, [&step, rows, gathered, gradient, linear, low = saved.low, of_low] {
      const TensorId input = gathered.valid() ? gathered : GatherRows(step, rows);
      WriteLinearGradients(step, linear, input, low, gradient, of_low);
      if (linear.bias >= 0 && !step.gradients.Frozen(linear.bias)) step.gradients.WriteSum(linear.bias, gradient);
    });
  }
  return FinishReduceRows(step, reducing);
}

TensorId RowForward(Step& step, TensorId input, const LinearParameters& linear, LinearSaved* saved) {
  if (step.fp8.on) return Fp8RowForward(step, input, linear.weight);
  TensorId output = step.b.Mm(input, step.b.T(step.gradients.Weight(linear.weight)));
  if (HasAdapter(linear)) {
    saved->low = AdapterDown(step, input, *linear.adapter);
    output = AddAdapter(step, output, saved->low, *linear.adapter);
  }
  return FinishReduceRows(step, StartReduceRows(step, output));
}

TensorId RowBackward(Step& step, TensorId input, TensorId gradient, const LinearParameters& linear, const LinearSaved& saved,
                     bool input_needed) {
  if (step.fp8.on) return Fp8RowBackward(step, input, gradient, linear.weight, linear.bias);
  ProgramBuilder& b = step.b;
  TensorId low = saved.low, of_low;
  if (HasAdapter(linear) && !low.valid()) {
    b.SetPhase(Phase::kRecompute);
    low = AdapterDown(step, input, *linear.adapter);
  }
  b.SetPhase(Phase::kInputGradient);
  const TensorId all_rows = GatherRows(step, gradient);
  if (HasAdapter(linear)) of_low = AdapterGradient(step, all_rows, *linear.adapter);
  const TensorId input_gradient = input_needed ? InputGradient(step, all_rows, linear, of_low) : TensorId();
  if (!IsTrained(step, linear)) return input_gradient;
  WeightGradient(step, [&step, all_rows, input, gradient, linear, low, of_low] {
    WriteLinearGradients(step, linear, input, low, all_rows, of_low);
    if (linear.bias >= 0 && !step.gradients.Frozen(linear.bias)) step.gradients.WriteSum(linear.bias, gradient);
  });
  return input_gradient;
}

}  // namespace helm::model
