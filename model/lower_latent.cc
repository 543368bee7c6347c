// Latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1): queries, and keys with values, come from compressed vectors; a part of
// each head's query and a key that all heads share carry the rotary positions. Forward and backward.
//
// The compressed vectors are computed row by row on every rank of the tensor group, for its own rows with sequence parallelism, and
// gathered behind their norms (as Megatron Core's MLASelfAttention); only the projections to the heads are split. Rotary positions rotate
// halves, as everywhere in HELM.
#include "model/device_ops.h"
#include "model/step.h"

namespace helm::model {

using ir::Phase;
using ir::Shape;
using ir::TensorId;

namespace {

// `width` columns from `begin` on of each head, of a matrix [tokens, heads x each], as [sequences, positions, heads, width].
TensorId HeadColumns(Step& step, TensorId newest, int64_t each, int64_t begin, int64_t width) {
  const int64_t heads = step.sizes.heads, row = heads * each;
  return step.b.AsStrided(newest, {step.sizes.sequences, step.sizes.positions, heads, width}, {step.sizes.positions * row, row, each, 1},
                          begin);
}

TensorId NewHeads(Step& step, TensorId like, int64_t width) {
  const Shape shape = {step.sizes.sequences, step.sizes.positions, step.sizes.heads, width};
  return step.b.NewEmpty(like, shape, step.b.dtype(like));
}

TensorId Columns(Step& step, TensorId x, int64_t begin, int64_t end) {
  ProgramBuilder& b = step.b;
  const TensorId part = b.Slice(x, 1, begin, end);
  return b.Copy_(b.NewEmpty(x, b.shape(part), b.dtype(x)), part);
}

int64_t QueryWidth(const Step& step) { return step.model.mla.qk_nope + step.model.mla.qk_rope; }

// The compressed queries, where they are compressed, as `input` of their norm.
TensorId CompressQueries(Step& step, const LatentParameters& latent, TensorId rows) {
  if (latent.q_down < 0) return {};
  step.b.Label("attention.q_down");
  return step.b.Mm(rows, step.b.T(step.gradients.Weight(latent.q_down)));
}

// Query heads [sequences, positions, heads, qk_nope + qk_rope], the second part rotated; from the layer's rows, or the compressed ones.
TensorId QueryHeads(Step& step, const LatentParameters& latent, TensorId from, TensorId compressed, AttentionSaved& saved) {
  ProgramBuilder& b = step.b;
  if (compressed.valid()) {
    b.Label("attention.q_norm");
    saved.latent.query = NormForward(step, compressed, latent.q_norm, -1);
    from = saved.latent.query.output;
  }
  b.Label("attention.q_up");
  const TensorId queries = ColumnForward(step, from, {latent.q_up});
  b.Label("attention.heads");
  const TensorId rotated =
      RotateInPlace(step, HeadColumns(step, queries, QueryWidth(step), step.model.mla.qk_nope, step.model.mla.qk_rope));
  return HeadColumns(step, rotated, QueryWidth(step), 0, QueryWidth(step));
}

// The rotated key that all heads share, [sequences, positions, 1, qk_rope].
TensorId SharedKey(Step& step, TensorId compressed) {
  ProgramBuilder& b = step.b;
  const LatentAttention& mla = step.model.mla;
  b.Label("attention.heads");
  const TensorId own = Columns(step, compressed, mla.kv_lora, mla.kv_lora + mla.qk_rope);
  const TensorId all = GatherRows(step, own);
  return RotateInPlace(step, b.View(all, {step.sizes.sequences, step.sizes.positions, 1, mla.qk_rope}));
}

// The gradient of the shared key, before rotation, from those of all heads; summed over the tensor group.
TensorId SharedKeyBackward(Step& step, TensorId of_keys) {
  ProgramBuilder& b = step.b;
  const LatentAttention& mla = step.model.mla;
  const TensorId of_heads = b.Slice(of_keys, 3, mla.qk_nope, QueryWidth(step));
  const TensorId rotated = b.Sum(of_heads, 2, true, b.dtype(of_keys));
  const TensorId own = b.View(RotateBack(step, rotated, {}), {step.sizes.tokens, mla.qk_rope});
  return FinishReduceRows(step, StartReduceRows(step, own));
}

// Gradient of the layer's input by way of the queries; by position: [sequences, positions, heads, width].
TensorId QueryBackward(Step& step, const LatentParameters& latent, TensorId rows, const AttentionSaved& saved, TensorId of_queries) {
  ProgramBuilder& b = step.b;
  const LatentAttention& mla = step.model.mla;
  const int64_t width = QueryWidth(step);
  b.Label("attention.heads");
  TensorId gradient = b.NewEmpty(of_queries, {step.sizes.tokens, step.sizes.heads * width}, b.dtype(of_queries));
  gradient = b.Copy_(HeadColumns(step, gradient, width, 0, mla.qk_nope), b.Slice(of_queries, 3, 0, mla.qk_nope));
  gradient = RotateBack(step, b.Slice(of_queries, 3, mla.qk_nope, width), HeadColumns(step, gradient, width, mla.qk_nope, mla.qk_rope));
  gradient = b.AsStrided(gradient, {step.sizes.tokens, step.sizes.heads * width}, {step.sizes.heads * width, 1}, 0);
  b.Label("attention.q_up");
  if (latent.q_down < 0) return ColumnBackward(step, rows, gradient, {latent.q_up});
  const TensorId of_norm = ColumnBackward(step, saved.latent.query.output, gradient, {latent.q_up});
  b.Label("attention.q_norm");
  const TensorId of_down = NormBackward(step, saved.latent.query, of_norm, latent.q_norm, -1);
  b.Label("attention.q_down");
  const TensorId of_rows = b.Mm(of_down, step.gradients.Weight(latent.q_down));
  WeightGradient(step, [&step, of_down, rows, weight = latent.q_down] { step.gradients.WriteProduct(weight, of_down, rows); });
  return of_rows;
}

// The gradient of the compressed keys and values, with that of the shared key beside it: [rows, kv_lora + qk_rope].
TensorId CompressedBackward(Step& step, const LatentParameters& latent, const AttentionSaved& saved, TensorId of_keys, TensorId of_values) {
  ProgramBuilder& b = step.b;
  const LatentAttention& mla = step.model.mla;
  const int64_t each = mla.qk_nope + mla.v, columns = step.sizes.heads * each;
  b.Label("attention.heads");
  TensorId gradient = b.NewEmpty(of_keys, {step.sizes.tokens, columns}, b.dtype(of_keys));
  gradient = b.Copy_(HeadColumns(step, gradient, each, 0, mla.qk_nope), b.Slice(of_keys, 3, 0, mla.qk_nope));
  gradient = b.Copy_(HeadColumns(step, gradient, each, mla.qk_nope, mla.v), b.Slice(of_values, 3, 0, mla.v));
  gradient = b.AsStrided(gradient, {step.sizes.tokens, columns}, {columns, 1}, 0);
  const TensorId of_shared = SharedKeyBackward(step, of_keys);
  b.Label("attention.kv_up");
  const TensorId of_norm = ColumnBackward(step, saved.latent.key_value.output, gradient, {latent.kv_up});
  b.Label("attention.kv_norm");
  const TensorId of_compressed = NormBackward(step, saved.latent.key_value, of_norm, latent.kv_norm, -1);
  return b.Cat({of_compressed, of_shared}, 1);
}

}  // namespace

TensorId Padded(Step& step, TensorId x, int64_t width) {
  ProgramBuilder& b = step.b;
  Shape shape = b.shape(x);
  const int64_t own = shape.back();
  shape.back() = width;
  const TensorId zeros = b.NewZeros(x, shape, b.dtype(x));
  return b.Restride(b.Copy_(b.Slice(zeros, static_cast<int64_t>(shape.size()) - 1, 0, own), x), zeros);
}

namespace {

// Sets saved.key and .value from the compressed vectors and the shared key.
void KeysAndValues(Step& step, const LatentParameters& latent, TensorId compressed, TensorId shared, AttentionSaved& saved) {
  ProgramBuilder& b = step.b;
  const LatentAttention& mla = step.model.mla;
  b.Label("attention.kv_norm");
  saved.latent.key_value = NormForward(step, compressed, latent.kv_norm, -1);
  b.Label("attention.kv_up");
  const TensorId up = ColumnForward(step, saved.latent.key_value.output, {latent.kv_up});
  b.Label("attention.heads");
  const int64_t each = mla.qk_nope + mla.v;
  const TensorId keys = NewHeads(step, up, QueryWidth(step));
  TensorId newest = b.Copy_(b.Slice(keys, 3, 0, mla.qk_nope), HeadColumns(step, up, each, 0, mla.qk_nope));
  newest = b.Copy_(b.Slice(b.Restride(newest, keys), 3, mla.qk_nope, QueryWidth(step)), shared);
  const TensorId value = HeadColumns(step, up, each, mla.qk_nope, mla.v);
  const bool pad = WantsEqualWidths(step.cuda) && mla.v < QueryWidth(step);
  saved.key = b.Transpose(b.Restride(newest, keys), 1, 2);
  saved.value = b.Transpose(pad ? Padded(step, value, QueryWidth(step)) : b.Copy_(NewHeads(step, up, mla.v), value), 1, 2);
}

}  // namespace

void LatentForward(Step& step, const LatentParameters& latent, TensorId rows, AttentionSaved& saved) {
  ProgramBuilder& b = step.b;
  const TensorId query = QueryHeads(step, latent, rows, CompressQueries(step, latent, rows), saved);
  b.Label("attention.kv_down");
  const TensorId compressed = b.Mm(rows, b.T(step.gradients.Weight(latent.kv_down)));
  saved.latent.shared_key = SharedKey(step, compressed);
  KeysAndValues(step, latent, Columns(step, compressed, 0, step.model.mla.kv_lora), saved.latent.shared_key, saved);
  saved.query = b.Transpose(query, 1, 2);
}

void RepeatLatentUp(Step& step, const LatentParameters& latent, TensorId rows, AttentionSaved& saved) {
  const TensorId query = QueryHeads(step, latent, rows, saved.latent.query.input, saved);
  KeysAndValues(step, latent, saved.latent.key_value.input, saved.latent.shared_key, saved);
  saved.query = step.b.Transpose(query, 1, 2);
}

TensorId LatentBackward(Step& step, const LatentParameters& latent, TensorId rows, const AttentionSaved& saved,
                        const AttentionGradients& from) {
  ProgramBuilder& b = step.b;
  const TensorId of_keys = b.Transpose(from.key, 1, 2), of_values = b.Transpose(from.value, 1, 2);
  const TensorId of_compressed = CompressedBackward(step, latent, saved, of_keys, of_values);
  b.Label("attention.kv_down");
  const TensorId of_rows = b.Mm(of_compressed, step.gradients.Weight(latent.kv_down));
  WeightGradient(step, [&step, of_compressed, rows, weight = latent.kv_down] { step.gradients.WriteProduct(weight, of_compressed, rows); });
  const TensorId by_queries = QueryBackward(step, latent, rows, saved, b.Transpose(from.query, 1, 2));
  return b.Add_(by_queries, of_rows);
}

}  // namespace helm::model
