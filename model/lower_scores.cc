// Attention that writes its scores, as frameworks without flash kernels run it: two batched products with mask, softmax and dropout between
// them, forward and backward.
//
// The program is that of one matrix a head, [positions, positions]; query heads that share a key are a batch dimension of their own, over
// which the key is broadcast. Scale, mask and softmax are one kernel where the framework has it (Megatron's masked softmax fusion), which
// reads and writes the compute dtype. Kept for backward: probabilities, and with dropout their mask and the dropped probabilities: 5 bytes
// an element in half precision (Korthikanti et al. 2022, section 4.1).
#include <bit>
#include <cmath>
#include <limits>

#include "model/step.h"

namespace helm::model {

using ir::DataType;
using ir::RankExpression;
using ir::Shape;
using ir::TensorId;

namespace {

int64_t Sharing(const Step& step) { return step.sizes.heads / step.sizes.kv_heads; }

// [sequences, heads, x, y] with the heads of one key apart: [sequences, kv_heads, sharing, x, y]. Itself where none share.
TensorId ByKey(Step& step, TensorId heads) {
  if (Sharing(step) == 1) return heads;
  const Shape s = step.b.shape(heads);
  return step.b.View(heads, {s[0], step.sizes.kv_heads, Sharing(step), s[2], s[3]});
}

// [sequences, kv_heads, x, y] to be broadcast over the heads that share it.
TensorId ForAll(Step& step, TensorId keys) { return Sharing(step) == 1 ? keys : step.b.Unsqueeze(keys, 2); }

// The opposite of ByKey, of a fresh product.
TensorId ByHead(Step& step, TensorId by_key) {
  if (Sharing(step) == 1) return by_key;
  const Shape s = step.b.shape(by_key);
  return step.b.View(by_key, {s[0], s[1] * s[2], s[3], s[4]});
}

// The sum over the heads that share a key.
TensorId OverSharing(Step& step, TensorId by_key) {
  return Sharing(step) == 1 ? by_key : step.b.Sum(by_key, 2, false, step.b.dtype(by_key));
}

TensorId Transposed(ProgramBuilder& b, TensorId x) {
  const auto rank = static_cast<int64_t>(b.shape(x).size());
  return b.Transpose(x, rank - 2, rank - 1);
}

double Scale(const Step& step) { return 1.0 / std::sqrt(static_cast<double>(step.model.head_dim)); }

DataType SoftmaxType(const Step& step) {
  const bool wide = step.software.attention_softmax == ir::Precision::kFloat32 && !step.software.fused.masked_softmax;
  return wide ? DataType::kFloat32 : step.workload.dtype;
}

// ALiBi's slope of head i of n (Press et al. 2022; for an n that is no power of two as in its published code): with c the largest power of
// two up to n, 2^(-8 (i + 1) / c) for i < c, and 2^(-8 (i - c + 1/2) / c) for the rest. fp32 [heads].
TensorId AlibiSlopes(Step& step, TensorId like) {
  ProgramBuilder& b = step.b;
  const auto power = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(step.model.heads)));
  const RankExpression first{0, {{"tensor", step.sizes.heads}}};
  TensorId number = b.AddScalar_(b.Cumsum(b.NewOnes(like, {step.sizes.heads}, DataType::kFloat32), 0), first);  // i + 1
  if (power < step.model.heads) {
    const TensorId rest = b.ToType(b.GeScalar(number, power + 1), DataType::kFloat32);
    number = b.Sub_(number, b.MulScalar_(rest, static_cast<double>(power) + 0.5));
  }
  return b.PowScalar(2.0, b.MulScalar_(number, -8.0 / static_cast<double>(power)));
}

// slope x position of the key: the softmax does not see that the distance to the query is meant.
void MakeAlibi(Step& step, TensorId like) {
  ProgramBuilder& b = step.b;
  b.Label("alibi");
  const int64_t positions = step.sizes.positions;
  const TensorId slopes = b.View(AlibiSlopes(step, like), {step.sizes.heads, 1, 1});
  const TensorId keys = b.AddScalar_(b.Cumsum(b.NewOnes(like, {positions}, DataType::kFloat32), 0), -1.0);
  step.alibi = b.ToType(b.Mul(slopes, b.View(keys, {1, 1, positions})), step.workload.dtype);
  if (Sharing(step) > 1) step.alibi = b.View(step.alibi, {step.sizes.kv_heads, Sharing(step), 1, positions});
}

}  // namespace

void MakeScoreTables(Step& step, TensorId like) {
  ProgramBuilder& b = step.b;
  b.Label("attention.mask");
  const int64_t positions = step.sizes.positions;
  const TensorId numbers = b.Cumsum(b.NewOnes(like, {positions}, DataType::kInt64), 0);
  step.causal_mask = b.Gt(b.View(numbers, {1, positions}), b.View(numbers, {positions, 1}));
  if (step.model.position == Position::kAlibi) MakeAlibi(step, like);
}

void ScoresForward(Step& step, AttentionSaved& saved) {
  ProgramBuilder& b = step.b;
  TensorId scores = b.Matmul(ByKey(step, saved.query), Transposed(b, ForAll(step, saved.key)));
  if (step.alibi.valid()) {
    // As much traffic as the product has with the bias as its addend (Megatron's baddbmm).
    const FusedKernel kernel(b, step.software.fused.masked_softmax);
    scores = b.Add_(b.MulScalar_(scores, Scale(step)), step.alibi);
  }
  {
    const FusedKernel kernel(b, step.software.fused.masked_softmax);
    if (!step.alibi.valid()) scores = b.MulScalar_(scores, Scale(step));
    scores = b.MaskedFill_(scores, step.causal_mask, -std::numeric_limits<double>::infinity());
    saved.probabilities = b.Softmax(b.ToType(scores, SoftmaxType(step)));
  }
  saved.dropped = b.ToType(saved.probabilities, step.workload.dtype);
  if (step.software.attention_dropout == 0) return;
  const ProgramBuilder::Dropped dropped = b.NativeDropout(saved.dropped, step.software.attention_dropout);
  saved.dropped = dropped.output;
  saved.dropout_mask = dropped.mask;
}

void ScoresOutput(Step& step, AttentionSaved& saved) {
  ProgramBuilder& b = step.b;
  const Sizes& sizes = step.sizes;
  const TensorId output = ByHead(step, b.Matmul(saved.dropped, ForAll(step, saved.value)));
  const TensorId by_position = b.NewEmpty(output, {sizes.sequences, sizes.positions, sizes.heads, step.model.head_dim}, b.dtype(output));
  saved.output_rows = b.View(b.Copy_(by_position, b.Transpose(output, 1, 2)), {sizes.tokens, sizes.heads * step.model.head_dim});
}

AttentionGradients ScoresBackward(Step& step, const AttentionSaved& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  const TensorId of_output = ByKey(step, gradient);
  AttentionGradients gradients;
  gradients.value = OverSharing(step, b.Matmul(Transposed(b, saved.dropped), of_output));
  TensorId of_scores = b.Matmul(of_output, Transposed(b, ForAll(step, saved.value)));
  if (saved.dropout_mask.valid()) of_scores = b.NativeDropoutBackward(of_scores, saved.dropout_mask, step.software.attention_dropout);
  {
    const FusedKernel kernel(b, step.software.fused.masked_softmax);
    of_scores = b.SoftmaxBackward(b.ToType(of_scores, SoftmaxType(step)), saved.probabilities);
    of_scores = b.MulScalar_(b.ToType(of_scores, step.workload.dtype), Scale(step));
  }
  gradients.query = ByHead(step, b.Matmul(of_scores, ForAll(step, saved.key)));
  gradients.key = OverSharing(step, b.Matmul(Transposed(b, of_scores), ByKey(step, saved.query)));
  return gradients;
}

}  // namespace helm::model
