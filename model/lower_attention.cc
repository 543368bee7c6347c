// Self-attention: fused query/key/value projection, optional norms of heads, rotary positions, the kernels of attention, output projection.
#include <utility>

#include "model/device_ops.h"
#include "model/step.h"

namespace helm::model {

using ir::Phase;
using ir::Shape;
using ir::TensorId;

namespace {

// Columns of the fused projection: all query heads, then key heads, then value heads.
struct HeadRange {
  int64_t begin = 0;
  int64_t count = 0;
};
HeadRange QueryHeads(const Step& step) { return {0, step.sizes.heads}; }
HeadRange KeyHeads(const Step& step) { return {step.sizes.heads, step.sizes.kv_heads}; }
HeadRange ValueHeads(const Step& step) { return {step.sizes.heads + step.sizes.kv_heads, step.sizes.kv_heads}; }
HeadRange QueryAndKeyHeads(const Step& step) { return {0, step.sizes.heads + step.sizes.kv_heads}; }

// These heads of a fused [tokens, features] matrix as [sequences, positions, heads, head_dim], made from the newest version on its storage.
TensorId Heads(Step& step, TensorId newest, HeadRange heads) {
  const int64_t d = step.model.head_dim;
  const int64_t row = (step.sizes.heads + 2 * step.sizes.kv_heads) * d;
  return step.b.AsStrided(newest, {step.sizes.sequences, step.sizes.positions, heads.count, d}, {step.sizes.positions * row, row, d, 1},
                          heads.begin * d);
}

TensorId Rotated(Step& step, TensorId heads) { return step.model.position == Position::kRope ? RotateInPlace(step, heads) : heads; }

// Sets query, key and value as [sequences, heads, positions, head_dim].
void SplitHeads(Step& step, const LayerParameters& layer, AttentionSaved& saved) {
  ProgramBuilder& b = step.b;
  TensorId query, key, newest = saved.qkv;
  if (step.model.qk_norm) {
    saved.query_norm = NormForward(step, Heads(step, saved.qkv, QueryHeads(step)), layer.query_norm, -1);
    saved.key_norm = NormForward(step, Heads(step, saved.qkv, KeyHeads(step)), layer.key_norm, -1);
    query = Rotated(step, saved.query_norm.output);
    key = Rotated(step, saved.key_norm.output);
  } else {
    if (step.model.position == Position::kRope) newest = RotateInPlace(step, Heads(step, saved.qkv, QueryAndKeyHeads(step)));
    query = Heads(step, newest, QueryHeads(step));
    key = Heads(step, newest, KeyHeads(step));
  }
  saved.query = b.Transpose(query, 1, 2);
  saved.key = b.Transpose(key, 1, 2);
  saved.value = b.Transpose(Heads(step, newest, ValueHeads(step)), 1, 2);
}

// Gradient of one of query and key, before rotation and norm, into its columns of `target`. Returns the newest version of target's storage.
TensorId WriteHeadsBack(Step& step, TensorId gradient, const NormSaved& norm, ParameterIndex norm_weight, TensorId target,
                        HeadRange heads) {
  ProgramBuilder& b = step.b;
  const bool rope = step.model.position == Position::kRope;
  const TensorId columns = Heads(step, target, heads);
  TensorId by_position = b.Transpose(gradient, 1, 2);
  if (!step.model.qk_norm) return rope ? RotateBack(step, by_position, columns) : b.Copy_(columns, by_position);
  // The norm's backward makes tensors like its gradient, so that has to lie in the order of its shape.
  if (!step.software.flash_attention) by_position = b.Copy_(b.NewEmpty(gradient, b.shape(by_position), b.dtype(gradient)), by_position);
  const TensorId of_norm = rope ? RotateBack(step, by_position, {}) : by_position;
  return b.Copy_(columns, NormBackward(step, norm, of_norm, norm_weight, -1));
}

// As often as the framework copies it.
TensorId Copied(Step& step, TensorId qkv) {
  ProgramBuilder& b = step.b;
  for (int64_t i = 0; i < step.software.qkv_copies; ++i) qkv = b.Copy_(b.NewEmpty(qkv, b.shape(qkv), b.dtype(qkv)), qkv);
  return qkv;
}

TensorId QkvGradient(Step& step, const LayerParameters& layer, const AttentionSaved& saved, const AttentionGradients& from) {
  ProgramBuilder& b = step.b;
  const Shape shape = b.shape(saved.qkv);
  // What was exchanged lies elsewhere: the projection's own output need not stay for it.
  const TensorId like = step.strategy.context > 1 ? from.value : saved.qkv;
  TensorId newest = b.NewEmpty(like, shape, b.dtype(like));
  newest = WriteHeadsBack(step, from.query, saved.query_norm, layer.query_norm, newest, QueryHeads(step));
  newest = WriteHeadsBack(step, from.key, saved.key_norm, layer.key_norm, newest, KeyHeads(step));
  newest = b.Copy_(Heads(step, newest, ValueHeads(step)), b.Transpose(from.value, 1, 2));
  return Copied(step, b.AsStrided(newest, shape, ir::ContiguousStrides(shape), 0));
}

// The flash kernels, over all positions of the sequence. Sets saved.output and .extra; with context parallelism also query, key and value,
// where backward reads others than these; `done_again` as in ContextForward.
void FlashCore(Step& step, AttentionSaved& saved, bool done_again) {
  if (step.strategy.context > 1) return ContextForward(step, saved, done_again);
  FlashOutputs outputs = FlashForward(step, {saved.query, saved.key, saved.value});
  saved.output = outputs.output;
  saved.extra = std::move(outputs.extra);
}

}  // namespace

int64_t ValueWidth(const ModelSpec& model) { return model.mla.kv_lora > 0 ? model.mla.v : model.head_dim; }

void AttentionCore(Step& step, AttentionSaved& saved) {
  ProgramBuilder& b = step.b;
  b.Label("attention.core");
  if (!step.software.flash_attention) {
    ScoresForward(step, saved);
    ScoresOutput(step, saved);
    return;
  }
  const Recomputed& again = RecomputedHere(step);
  // Backward reads nothing of it: it is computed again for that, or backward ends behind it.
  const AdapterParameters& adapter = step.plan.layers[static_cast<size_t>(b.layer())].qkv_adapter;
  const bool unread = again.whole || again.core_attention || !NeedsInputGradient(step, adapter.none());
  FlashCore(step, saved, /*done_again=*/unread && b.phase() == Phase::kForward);
  TensorId by_position = b.Transpose(saved.output, 1, 2);
  const int64_t width = ValueWidth(step.model), padded = b.shape(by_position)[3];
  if (padded > width) {
    by_position = b.Slice(by_position, 3, 0, width);
    by_position = b.Copy_(b.NewEmpty(by_position, b.shape(by_position), b.dtype(by_position)), by_position);
  }
  saved.output_rows = b.View(by_position, {step.sizes.tokens, step.sizes.heads * width});
}

namespace {

// What backward needs of the kernels again. The output was kept: the projection behind it reads it.
void RepeatCore(Step& step, AttentionSaved& saved) {
  step.b.Label("attention.core");
  const TensorId kept = saved.output_rows;
  if (step.software.flash_attention) {
    FlashCore(step, saved, /*done_again=*/false);
  } else {
    ScoresForward(step, saved);
    if (step.software.recompute_whole) ScoresOutput(step, saved);
  }
  saved.output_rows = kept;
}

AttentionGradients CoreBackward(Step& step, const AttentionSaved& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  b.Label("attention.core");
  const int64_t width = ValueWidth(step.model);
  const Shape by_head = {step.sizes.sequences, step.sizes.positions, step.sizes.heads, width};
  TensorId by_position = b.View(gradient, by_head);
  if (step.software.flash_attention && b.shape(saved.output)[3] > width) by_position = Padded(step, by_position, b.shape(saved.output)[3]);
  const TensorId of_heads = b.Transpose(by_position, 1, 2);
  if (!step.software.flash_attention) return ScoresBackward(step, saved, of_heads);
  if (step.strategy.context > 1) return ContextBackward(step, saved, of_heads);
  return FlashBackward(step, {saved.query, saved.key, saved.value}, {saved.output, saved.extra}, of_heads);
}

// The fused projection, and query, key and value of its output.
void Project(Step& step, const LayerParameters& layer, TensorId rows, AttentionSaved& saved) {
  step.b.Label("attention.qkv");
  saved.qkv = ColumnForward(step, rows, {layer.qkv_weight, layer.qkv_bias, &layer.qkv_adapter}, &saved.qkv_linear);
  step.b.Label("attention.heads");
  saved.qkv = Copied(step, saved.qkv);
  SplitHeads(step, layer, saved);
}

// Up to query, key and value.
void RepeatHeads(Step& step, const Recomputed& again, const LayerParameters& layer, TensorId rows, AttentionSaved& saved) {
  if (step.model.mla.kv_lora > 0) {
    if (again.qkv_projection) return LatentForward(step, layer.latent, rows, saved);
    if (again.mla_up_projection) RepeatLatentUp(step, layer.latent, rows, saved);
    return;
  }
  if (again.qkv_projection) return Project(step, layer, rows, saved);
  if (!again.rope || !step.model.qk_norm) return;
  step.b.Label("attention.heads");
  SplitHeads(step, layer, saved);
}

}  // namespace

void RepeatAttention(Step& step, const LayerParameters& layer, TensorId rows, AttentionSaved& saved) {
  const Recomputed& again = RecomputedHere(step);
  RepeatHeads(step, again, layer, rows, saved);
  if (!again.core_attention) return;
  if (again.attention_output) {
    AttentionCore(step, saved);
  } else {
    RepeatCore(step, saved);
  }
}

TensorId AttentionForward(Step& step, const LayerParameters& layer, TensorId rows, AttentionSaved& saved) {
  ProgramBuilder& b = step.b;
  if (step.model.mla.kv_lora > 0) {
    LatentForward(step, layer.latent, rows, saved);
  } else {
    Project(step, layer, rows, saved);
  }
  AttentionCore(step, saved);
  b.Label("attention.out");
  return RowForward(step, saved.output_rows, {layer.out_weight, -1, &layer.out_adapter}, &saved.out_linear);
}

TensorId AttentionBackward(Step& step, const LayerParameters& layer, TensorId rows, AttentionSaved& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  b.Label("attention.out");
  const TensorId of_output = RowBackward(step, saved.output_rows, gradient, {layer.out_weight, layer.out_bias, &layer.out_adapter},
                                         saved.out_linear, NeedsInputGradient(step, layer.qkv_adapter.none()));
  if (!of_output.valid()) return {};
  const AttentionGradients of_heads = CoreBackward(step, saved, of_output);
  if (step.model.mla.kv_lora > 0) return LatentBackward(step, layer.latent, rows, saved, of_heads);
  b.Label("attention.heads");
  const TensorId of_qkv = QkvGradient(step, layer, saved, of_heads);
  b.Label("attention.qkv");
  return ColumnBackward(step, rows, of_qkv, {layer.qkv_weight, layer.qkv_bias, &layer.qkv_adapter}, saved.qkv_linear,
                        NeedsInputGradient(step, true));
}

}  // namespace helm::model
