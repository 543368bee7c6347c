// Low-rank adapters beside frozen linear layers (LoRA, arXiv 2106.09685): y = W x + alpha / rank B (A x).
//
// The factor is applied to A x, which is narrow, not to the adapter's output as PEFT does: the same number, and a pass over [tokens, out]
// less in each direction. No collective is added: where W's output rows are split, every rank has all of A and computes A x from all of x,
// and what B^T gives backward is a part of a sum, to which A is applied before W's own input gradient is reduced; where W's columns are
// split, A x is a part of a sum, to which B is applied before W's own output is reduced. So either A's or B's gradients are parts of sums
// over the tensor group (Share::kPartial). Dropout of an adapter's input is not modelled.
#include "model/step.h"

namespace helm::model {

using ir::TensorId;

namespace {

double Factor(const Step& step) { return step.model.lora.alpha / static_cast<double>(step.model.lora.rank); }

// These columns of a matrix, itself where they are all of them.
TensorId ColumnsOf(Step& step, TensorId matrix, int64_t begin, int64_t end) {
  return end - begin == step.b.shape(matrix)[1] ? matrix : step.b.Slice(matrix, 1, begin, end);
}

// What belongs to a part of the adapter.
TensorId LowOf(Step& step, TensorId low, size_t part) {
  const int64_t rank = step.model.lora.rank, begin = static_cast<int64_t>(part) * rank;
  return ColumnsOf(step, low, begin, begin + rank);
}

}  // namespace

bool HasAdapter(const LinearParameters& linear) { return linear.adapter != nullptr && !linear.adapter->none(); }

TensorId AdapterDown(Step& step, TensorId input, const AdapterParameters& adapter) {
  ProgramBuilder& b = step.b;
  return b.MulScalar_(b.Mm(input, b.T(step.gradients.Weight(adapter.a))), Factor(step));
}

TensorId AddAdapter(Step& step, TensorId output, TensorId low, const AdapterParameters& adapter) {
  ProgramBuilder& b = step.b;
  for (size_t i = 0; i < adapter.parts.size(); ++i) {
    const AdapterParameters::Part& part = adapter.parts[i];
    const TensorId added = b.Mm(LowOf(step, low, i), b.T(step.gradients.Weight(part.b)));
    const TensorId columns = ColumnsOf(step, output, part.out_begin, part.out_end);
    output = columns == output ? b.Add_(output, added) : b.Restride(b.Add_(columns, added), output);
  }
  return output;
}

TensorId AdapterGradient(Step& step, TensorId gradient, const AdapterParameters& adapter) {
  ProgramBuilder& b = step.b;
  std::vector<TensorId> parts;
  for (const AdapterParameters::Part& part : adapter.parts) {
    parts.push_back(b.Mm(ColumnsOf(step, gradient, part.out_begin, part.out_end), step.gradients.Weight(part.b)));
  }
  return b.MulScalar_(parts.size() == 1 ? parts.front() : b.Cat(parts, 1), Factor(step));
}

void WriteAdapterGradients(Step& step, const AdapterParameters& adapter, TensorId input, TensorId low, TensorId gradient, TensorId of_low) {
  for (size_t i = 0; i < adapter.parts.size(); ++i) {
    const AdapterParameters::Part& part = adapter.parts[i];
    step.gradients.WriteProduct(part.b, ColumnsOf(step, gradient, part.out_begin, part.out_end), LowOf(step, low, i));
  }
  step.gradients.WriteProduct(adapter.a, of_low, input);
}

}  // namespace helm::model
