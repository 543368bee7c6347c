// The router of a layer with experts: which tokens go to which expert, with which weight, forward and backward.
//
// Probabilities are the softmax over the router's logits, in fp32. A token goes to the top_k experts of the largest; their outputs are
// weighted by the probabilities divided by the sum of the chosen ones (Mixtral, arXiv 2401.04088, section 2.1, which takes the softmax over
// the chosen logits: the same numbers), with top_k 1 by the probability itself (Switch, arXiv 2101.03961, equation 2). An expert has a
// fixed number of slots for each rank's tokens (ExpertCapacity); they go to the tokens of the largest weights, and slots that stay empty
// hold some token with weight 0.
//
// The balancing loss is the Switch's (equations 4 to 6), for each rank's rows of a micro-batch: aux_loss x experts x sum over experts of
// the share of assignments x the mean probability; the step's is the mean over rows. It counts in gradients, not in the loss that is shown,
// as in Megatron Core (MoEAuxLossAutoScaler).
#include "model/step.h"

namespace helm::model {

using ir::DataType;
using ir::Phase;
using ir::TensorId;

namespace {

// Weights of the chosen experts by expert, 0 for the others: [experts, rows].
TensorId WeightsByExpert(Step& step, const RouterSaved& saved) {
  ProgramBuilder& b = step.b;
  const TensorId zeros = b.NewZeros(saved.weights, {step.sizes.experts, step.sizes.row_tokens}, DataType::kFloat32);
  return b.Scatter_(zeros, 0, b.Transpose(saved.chosen, 0, 1), b.Transpose(saved.weights, 0, 1));
}

void AssignSlots(Step& step, RouterSaved& saved) {
  ProgramBuilder& b = step.b;
  const int64_t slots = step.sizes.experts * step.sizes.capacity;
  const auto [gates, rows] = b.Topk(WeightsByExpert(step, saved), step.sizes.capacity);
  saved.slots = b.View(rows, {slots});
  saved.gates = b.View(b.ToType(gates, step.workload.dtype), {slots, 1});
}

// The gradient of the chosen probabilities from that of the weights w = p / sum p:  dp = (dw - sum dw w) / sum p.
TensorId OfChosen(Step& step, const RouterSaved& saved, TensorId of_weights) {
  ProgramBuilder& b = step.b;
  if (!saved.total.valid()) return of_weights;
  const TensorId common = b.Sum(b.Mul(of_weights, saved.weights), 1, true, DataType::kFloat32);
  return b.Div_(b.Sub(of_weights, common), saved.total);
}

// d loss / d p[row, e] = aux_loss x experts x assignments[e] / (rows x top_k) / tokens of the step.
TensorId AddBalancing(Step& step, const RouterSaved& saved, TensorId of_probabilities) {
  ProgramBuilder& b = step.b;
  const MixtureOfExperts& moe = step.model.moe;
  if (moe.aux_loss == 0) return of_probabilities;
  const int64_t assignments = step.sizes.row_tokens * moe.top_k;
  const TensorId ones = b.NewOnes(of_probabilities, {assignments}, DataType::kFloat32);
  const TensorId zeros = b.NewZeros(of_probabilities, {moe.experts}, DataType::kFloat32);
  const TensorId counts = b.ScatterAdd_(zeros, 0, b.View(saved.chosen, {assignments}), ones);
  const double tokens = static_cast<double>(step.workload.global_batch) * static_cast<double>(step.workload.sequence_length);
  const double factor = moe.aux_loss * static_cast<double>(moe.experts) / static_cast<double>(assignments) / tokens;
  return b.Add_(of_probabilities, b.MulScalar_(counts, factor));
}

}  // namespace

void RouterForward(Step& step, const ExpertParameters& experts, TensorId rows, RouterSaved& saved) {
  ProgramBuilder& b = step.b;
  b.Label("moe.router");
  const TensorId logits = b.Mm(rows, b.T(step.gradients.Weight(experts.router)));
  saved.probabilities = b.Softmax(b.ToType(logits, DataType::kFloat32));
  const auto [largest, chosen] = b.Topk(saved.probabilities, step.model.moe.top_k);
  saved.chosen = chosen;
  saved.weights = largest;
  if (step.model.moe.top_k > 1) {
    saved.total = b.Sum(largest, 1, true, DataType::kFloat32);
    saved.weights = b.Div(largest, saved.total);
  }
  AssignSlots(step, saved);
}

TensorId RouterBackward(Step& step, const ExpertParameters& experts, TensorId rows, const RouterSaved& saved, TensorId of_gates,
                        TensorId of_rows) {
  ProgramBuilder& b = step.b;
  b.Label("moe.router");
  const int64_t count = step.sizes.experts, capacity = step.sizes.capacity;
  // From slots to the chosen experts of each token; what was dropped has no gradient.
  TensorId by_expert = b.NewZeros(of_gates, {count, step.sizes.row_tokens}, DataType::kFloat32);
  by_expert = b.Scatter_(by_expert, 1, b.View(saved.slots, {count, capacity}), of_gates);
  const TensorId of_weights = b.Gather(b.Transpose(by_expert, 0, 1), 1, saved.chosen);
  TensorId of_probabilities = b.NewZeros(of_gates, b.shape(saved.probabilities), DataType::kFloat32);
  of_probabilities = b.Scatter_(of_probabilities, 1, saved.chosen, OfChosen(step, saved, of_weights));
  of_probabilities = AddBalancing(step, saved, of_probabilities);
  const TensorId of_logits = b.ToType(b.SoftmaxBackward(of_probabilities, saved.probabilities), step.workload.dtype);
  const TensorId result = b.Addmm_(of_rows, of_logits, step.gradients.Weight(experts.router));
  WeightGradient(step, [&step, of_logits, rows, router = experts.router] { step.gradients.WriteProduct(router, of_logits, rows); });
  return result;
}

}  // namespace helm::model
