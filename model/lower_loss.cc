// Final norm, output head split by vocabulary rows, and cross-entropy over the split logits, forward and backward.
//
// As Megatron's vocabulary-parallel cross-entropy: three reductions of one number per token (maximum, target logit, sum of exponentials);
// the logits' buffer becomes the exponentials and then the gradient. Shares of the mean loss are so divided that sums over micro-batches
// and data-parallel ranks give the mean.
#include <limits>

#include "model/step.h"

namespace helm::model {

using ir::DataType;
using ir::Phase;
using ir::RankExpression;
using ir::TensorId;

namespace {

// Each micro-batch's loss and gradient are divided by the tokens of the whole step.
double ShareOfLoss(const Step& step) { return 1.0 / static_cast<double>(step.workload.global_batch * step.workload.sequence_length); }

TensorId AllReduceIfSplit(Step& step, TensorId x, const std::string& operation) {
  return step.tensor_parallel ? step.b.Wait(step.b.AllReduce(x, step.tensor_group, operation)) : x;
}

// Passes over the fp32 copy of the logits are joined where they can be: Megatron Core's cross_entropy_loss_fusion (megatron/core/fusions/
// fused_cross_entropy.py), which makes that copy all the same, keeps it for backward and casts its gradient.
bool FusesPasses(const Step& step) { return step.cuda && step.software.fused.cross_entropy; }

// -log softmax(logits)[label] = log sum exp(l - max) - (l_label - max). Returns the micro-batch's share of the loss, [1].
TensorId CrossEntropyForward(Step& step, TensorId logits, TensorId labels, LossSaved& saved) {
  ProgramBuilder& b = step.b;
  const LocalTokens targets = LocalizeTokens(step, labels);
  saved.absent = targets.absent;
  saved.target_columns = b.View(targets.rows, {step.sizes.tokens, 1});
  TensorId wide, maximum, of_target;
  {
    const FusedKernel kernel(b, FusesPasses(step));
    wide = b.ToType(logits, DataType::kFloat32);
    if (step.padding_mask.valid()) wide = b.MaskedFill_(wide, step.padding_mask, -std::numeric_limits<double>::infinity());
    maximum = b.Amax(wide, 1);
  }
  maximum = AllReduceIfSplit(step, maximum, "max");
  {
    const FusedKernel kernel(b, FusesPasses(step));
    wide = step.software.cross_entropy_in_place ? b.Sub_(wide, maximum) : b.Sub(wide, maximum);
    of_target = b.Gather(wide, 1, saved.target_columns);
    if (saved.absent.valid()) of_target = b.MaskedFill_(of_target, b.Unsqueeze(saved.absent, 1), 0.0);
    saved.exponentials = b.Unary("aten.exp_", wide);
  }
  of_target = AllReduceIfSplit(step, of_target, "sum");
  saved.total = AllReduceIfSplit(step, b.Sum(saved.exponentials, 1, true, DataType::kFloat32), "sum");
  const TensorId per_token = b.Sub_(b.Unary("aten.log", saved.total), of_target);
  return b.MulScalar_(b.Sum(per_token, 0, false, DataType::kFloat32), ShareOfLoss(step));
}

// Kernels that read the logits as they are, compute in fp32 and write no copy of them: one forward and one backward, or what lies between
// the reductions over the tensor group. So do flash-attn's cross-entropy and log-softmax of narrow logits.
bool KeepsLogits(const Step& step) { return step.software.logits == ir::Precision::kCompute; }

// fp32 logits, less `maximum` where it is given; padding columns at -inf.
TensorId Widened(Step& step, TensorId logits, TensorId maximum) {
  ProgramBuilder& b = step.b;
  TensorId wide = b.ToType(logits, DataType::kFloat32);
  if (step.padding_mask.valid()) wide = b.MaskedFill(wide, step.padding_mask, -std::numeric_limits<double>::infinity());
  return maximum.valid() ? b.Sub(wide, maximum) : wide;
}

TensorId FusedCrossEntropyForward(Step& step, TensorId logits, TensorId labels, LossSaved& saved) {
  ProgramBuilder& b = step.b;
  const LocalTokens targets = LocalizeTokens(step, labels);
  saved.absent = targets.absent;
  saved.target_columns = b.View(targets.rows, {step.sizes.tokens, 1});
  saved.logits = logits;
  const FusedKernel all(b, step.cuda && !step.tensor_parallel);
  {
    const FusedKernel kernel(b, step.cuda);
    saved.maximum = b.Amax(Widened(step, logits, {}), 1);
  }
  saved.maximum = AllReduceIfSplit(step, saved.maximum, "max");
  TensorId of_target;
  {
    const FusedKernel kernel(b, step.cuda);
    const TensorId wide = Widened(step, logits, saved.maximum);
    of_target = b.Gather(wide, 1, saved.target_columns);
    if (saved.absent.valid()) of_target = b.MaskedFill_(of_target, b.Unsqueeze(saved.absent, 1), 0.0);
    saved.total = b.Sum(b.Unary("aten.exp_", wide), 1, true, DataType::kFloat32);
  }
  of_target = AllReduceIfSplit(step, of_target, "sum");
  saved.total = AllReduceIfSplit(step, saved.total, "sum");
  const TensorId per_token = b.Sub_(b.Unary("aten.log", saved.total), of_target);
  return b.MulScalar_(b.Sum(per_token, 0, false, DataType::kFloat32), ShareOfLoss(step));
}

// The gradient of the logits, in the compute type: softmax - one-hot.
TensorId CrossEntropyBackward(Step& step, const LossSaved& saved) {
  ProgramBuilder& b = step.b;
  const bool again = saved.logits.valid();
  const FusedKernel kernel(b, FusesPasses(step) || (step.cuda && again));
  TensorId wide = again ? b.Unary("aten.exp_", Widened(step, saved.logits, saved.maximum)) : saved.exponentials;
  wide = b.Div_(wide, saved.total);
  TensorId minus_one = b.MulScalar_(b.NewOnes(saved.total, {step.sizes.tokens, 1}, DataType::kFloat32), -1.0);
  if (saved.absent.valid()) minus_one = b.MaskedFill_(minus_one, b.Unsqueeze(saved.absent, 1), 0.0);
  wide = b.ScatterAdd_(wide, 1, saved.target_columns, minus_one);
  wide = b.MulScalar_(wide, ShareOfLoss(step));
  return b.ToType(wide, step.workload.dtype);
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

TensorId HeadForward(Step& step, int32_t micro_batch, TensorId rows, LossSaved& saved) {
  ProgramBuilder& b = step.b;
  b.At(Phase::kForward, -1, micro_batch);
  b.Label("final_norm");
  saved.norm = NormForward(step, rows, step.plan.final_norm_weight, step.plan.final_norm_bias);
  b.Label("head");
  saved.input = GatherRows(step, saved.norm.output);  // kept for the weight gradient, which follows soon
  return b.Mm(saved.input, b.T(step.gradients.Weight(step.plan.head)));
}

TensorId LossForward(Step& step, int32_t micro_batch, TensorId logits, TensorId labels, LossSaved& saved) {
  step.b.At(Phase::kForward, -1, micro_batch);
  step.b.Label("loss");
  return KeepsLogits(step) ? FusedCrossEntropyForward(step, logits, labels, saved) : CrossEntropyForward(step, logits, labels, saved);
}

TensorId LossBackward(Step& step, int32_t micro_batch, const LossSaved& saved) {
  step.b.At(Phase::kInputGradient, -1, micro_batch);
  step.b.Label("loss");
  return CrossEntropyBackward(step, saved);
}

TensorId HeadBackward(Step& step, int32_t micro_batch, const LossSaved& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  b.At(Phase::kInputGradient, -1, micro_batch);
  b.Label("head");
  const PendingRows reducing = StartReduceRows(step, b.Mm(gradient, step.gradients.Weight(step.plan.head)));
  if (!step.gradients.Frozen(step.plan.head)) {
    WeightGradient(step, [&step, gradient, input = saved.input] { step.gradients.WriteProduct(step.plan.head, gradient, input); });
  }
  const TensorId of_norm = FinishReduceRows(step, reducing);
  b.Label("final_norm");
  return NormBackward(step, saved.norm, of_norm, step.plan.final_norm_weight, step.plan.final_norm_bias);
}

}  // namespace helm::model
