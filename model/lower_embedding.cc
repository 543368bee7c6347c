// Token embedding, split over the tensor group by vocabulary rows, and learned positions.
#include <cmath>

#include "model/step.h"

namespace helm::model {

using ir::DataType;
using ir::Phase;
using ir::RankExpression;
using ir::TensorId;

// Rows of another rank are looked up as row 0 and then cleared, as in Megatron's VocabParallelEmbedding.
LocalTokens LocalizeTokens(Step& step, TensorId tokens) {
  ProgramBuilder& b = step.b;
  const TensorId flat = b.View(tokens, {step.sizes.tokens});
  if (!step.tensor_parallel) return {flat, {}, {}};
  const RankExpression first_row{0, {{"tensor", step.sizes.vocabulary}}};
  const TensorId local = b.SubScalar(flat, first_row);
  const TensorId absent = b.BitwiseOr_(b.LtScalar(local, 0), b.GeScalar(local, step.sizes.vocabulary));
  return {b.MaskedFill_(local, absent, int64_t{0}), absent, {}};
}

// The position of each row of row-by-row activations, which begin at row_tokens x tensor coordinate.
void MakePositionRows(Step& step, TensorId like) {
  ProgramBuilder& b = step.b;
  b.Label("embedding.positions");
  const TensorId rows = b.Cumsum(b.NewOnes(like, {step.sizes.row_tokens}, DataType::kInt64), 0);
  RankExpression first{-1, {}};
  if (step.sequence_parallel) first.terms.push_back({"tensor", step.sizes.row_tokens});
  step.position_rows = b.RemainderScalar_(b.AddScalar_(rows, first), step.sizes.positions);
  if (step.strategy.context > 1) step.position_rows = b.IndexSelect(step.context.positions, 0, step.position_rows);
}

TensorId EmbeddingForward(Step& step, TensorId tokens, LocalTokens& saved) {
  ProgramBuilder& b = step.b;
  b.Label("embedding");
  saved = LocalizeTokens(step, tokens);
  TensorId rows = b.Embedding(step.gradients.Weight(step.plan.embedding), saved.rows);
  if (saved.absent.valid()) rows = b.MaskedFill_(rows, b.Unsqueeze(saved.absent, 1), 0.0);
  rows = FinishReduceRows(step, StartReduceRows(step, rows));
  if (step.model.scaled_embeddings) rows = b.MulScalar_(rows, std::sqrt(static_cast<double>(step.model.hidden)));
  if (step.plan.position >= 0) rows = b.Add_(rows, b.Embedding(step.gradients.Weight(step.plan.position), step.position_rows));
  if (step.software.hidden_dropout == 0) return rows;
  const ProgramBuilder::Dropped dropped = b.NativeDropout(rows, step.software.hidden_dropout);
  saved.dropout_mask = dropped.mask;
  return dropped.output;
}

void EmbeddingBackward(Step& step, const LocalTokens& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  b.SetPhase(Phase::kWeightGradient);
  b.Label("embedding");
  gradient = BranchGradient(step, gradient, saved.dropout_mask);
  if (step.plan.position >= 0) {
    const TensorId of_positions = b.EmbeddingDenseBackward(gradient, step.position_rows, step.model.max_positions);
    step.gradients.WriteValue(step.plan.position, of_positions);
  }
  if (step.model.scaled_embeddings) gradient = b.MulScalar_(gradient, std::sqrt(static_cast<double>(step.model.hidden)));
  TensorId rows = GatherRows(step, gradient);
  if (saved.absent.valid()) rows = b.MaskedFill_(rows, b.Unsqueeze(saved.absent, 1), 0.0);
  const TensorId of_table = b.EmbeddingDenseBackward(rows, saved.rows, step.sizes.vocabulary);
  step.gradients.WriteValue(step.plan.embedding, of_table);
}

}  // namespace helm::model
