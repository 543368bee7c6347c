// Final norm, output head split by vocabulary rows, and cross-entropy over the split logits, forward and backward.
//
// As Megatron's vocabulary-parallel cross-entropy: three reductions of one number per token (maximum, target logit, sum of exponentials);
// the logits' buffer becomes the exponentials and then the gradient. Each micro-batch's loss and gradient are divided by the tokens of the
// whole step, so that sums over micro-batches and data-parallel ranks give the mean.
#include <limits>

#include "model/step.h"

namespace helm::model {

using ir::DataType;
using ir::Phase;
using ir::RankExpression;
using ir::TensorId;

namespace {

TensorId AllReduceIfSplit(Step& step, TensorId x, const std::string& operation) {
  return step.tensor_parallel ? step.b.Wait(step.b.AllReduce(x, step.tensor_group, operation)) : x;
}

struct CrossEntropy {
  TensorId loss;      // of the micro-batch, [1]
  TensorId gradient;  // of the logits, in the compute type
};

// -log softmax(logits)[label] = log sum exp(l - max) - (l_label - max); its gradient is softmax - one-hot.
CrossEntropy LowerCrossEntropy(Step& step, TensorId logits, TensorId labels) {
  ProgramBuilder& b = step.b;
  const double share = 1.0 / static_cast<double>(step.workload.global_batch * step.workload.sequence_length);
  const LocalTokens targets = LocalizeTokens(step, labels);
  const TensorId target_columns = b.View(targets.rows, {step.sizes.tokens, 1});
  TensorId wide = b.ToType(logits, DataType::kFloat32);
  if (step.padding_mask.valid()) wide = b.MaskedFill_(wide, step.padding_mask, -std::numeric_limits<double>::infinity());
  wide = b.Sub_(wide, AllReduceIfSplit(step, b.Amax(wide, 1), "max"));
  TensorId of_target = b.Gather(wide, 1, target_columns);
  if (targets.absent.valid()) of_target = b.MaskedFill_(of_target, b.Unsqueeze(targets.absent, 1), 0.0);
  of_target = AllReduceIfSplit(step, of_target, "sum");
  wide = b.Unary("aten.exp_", wide);
  const TensorId total = AllReduceIfSplit(step, b.Sum(wide, 1, true, DataType::kFloat32), "sum");
  const TensorId per_token = b.Sub_(b.Unary("aten.log", total), of_target);
  const TensorId loss = b.MulScalar_(b.Sum(per_token, 0, false, DataType::kFloat32), share);

  b.SetPhase(Phase::kInputGradient);
  wide = b.Div_(wide, total);
  TensorId minus_one = b.MulScalar_(b.NewOnes(total, {step.sizes.tokens, 1}, DataType::kFloat32), -1.0);
  if (targets.absent.valid()) minus_one = b.MaskedFill_(minus_one, b.Unsqueeze(targets.absent, 1), 0.0);
  wide = b.ScatterAdd_(wide, 1, target_columns, minus_one);
  wide = b.MulScalar_(wide, share);
  return {loss, b.ToType(wide, step.workload.dtype)};
}

}  // namespace

// Columns of this rank's logits that stand for padding rows of the vocabulary.
void MakePaddingMask(Step& step, TensorId like) {
  ProgramBuilder& b = step.b;
  const int64_t padded = step.sizes.vocabulary * step.strategy.tensor;
  if (padded == step.model.vocab) return;
  b.Label("head.padding");
  const TensorId columns = b.Cumsum(b.NewOnes(like, {step.sizes.vocabulary}, DataType::kInt64), 0);
  const RankExpression first{-1, {{"tensor", step.sizes.vocabulary}}};
  step.padding_mask = b.GeScalar(b.AddScalar_(columns, first), step.model.vocab);
}

LossResult LowerLoss(Step& step, int32_t micro_batch, TensorId rows, TensorId labels) {
  ProgramBuilder& b = step.b;
  b.At(Phase::kForward, -1, micro_batch);
  b.Label("final_norm");
  const NormSaved norm = NormForward(step, rows, step.plan.final_norm_weight, step.plan.final_norm_bias);
  b.Label("head");
  const TensorId input = GatherRows(step, norm.output);  // kept for the weight gradient, which follows soon
  const TensorId weight = step.gradients.Weight(step.plan.head);
  const TensorId logits = b.Mm(input, b.T(weight));
  b.Label("loss");
  const CrossEntropy loss = LowerCrossEntropy(step, logits, labels);
  b.Label("head");
  const PendingRows reducing = StartReduceRows(step, b.Mm(loss.gradient, weight));
  b.SetPhase(Phase::kWeightGradient);
  const bool tied = step.plan.head == step.plan.embedding;
  step.gradients.WriteProduct(step.plan.head, loss.gradient, input, {.fresh = true, .final = !tied});
  b.SetPhase(Phase::kInputGradient);
  const TensorId of_norm = FinishReduceRows(step, reducing);
  b.Label("final_norm");
  return {loss.loss, NormBackward(step, norm, of_norm, step.plan.final_norm_weight, step.plan.final_norm_bias)};
}

}  // namespace helm::model
