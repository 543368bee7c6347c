// Rotary position embedding in Hugging Face's convention: the first half of a head is rotated with the second ("rotate half").
#include <numbers>

#include "core/check.h"
#include "model/step.h"

namespace helm::model {

using ir::DataType;
using ir::Shape;
using ir::TensorId;

namespace {

// The two halves of every head as a dimension: [sequences, positions, heads, 2, head_dim / 2].
TensorId Halves(Step& step, TensorId x) {
  const Shape s = step.b.shape(x);
  return step.b.View(x, {s[0], s[1], s[2], 2, s[3] / 2});
}

// One half of `whole`, as a view made from `newest`, the last version written on the same storage.
TensorId Half(Step& step, TensorId newest, TensorId whole, int64_t half) {
  const ir::Tensor w = step.b.tensor(whole);
  Shape shape = w.shape;
  shape[3] = 1;
  return step.b.AsStrided(newest, shape, w.strides, w.offset + half * w.strides[3]);
}

// `frequency` x (s + (1 - s) / factor), by model/rope_scaling.h; both and s are [half].
TensorId Scaled(Step& step, TensorId frequency) {
  ProgramBuilder& b = step.b;
  const RopeScaling& scaling = step.model.rope_scaling;
  TensorId share;
  switch (scaling.type) {
    case RopeScaling::Type::kNone:
      return frequency;
    case RopeScaling::Type::kLinear:
      return b.DivScalar_(frequency, scaling.factor);
    case RopeScaling::Type::kLlama3: {
      const double span = scaling.high_freq_factor - scaling.low_freq_factor;
      const double slope = static_cast<double>(scaling.original_max_position_embeddings) / (2 * std::numbers::pi * span);
      share = b.MulScalar_(b.AddScalar(frequency, -scaling.low_freq_factor / span / slope), slope);
      break;
    }
    case RopeScaling::Type::kYarn: {
      const int64_t half = b.shape(frequency)[0];
      const RopeRamp ramp = RampOf(scaling, step.model.rope_theta, 2 * half);
      const TensorId index = b.AddScalar_(b.Cumsum(b.NewOnes(frequency, {half}, DataType::kFloat32), 0), -1.0 - ramp.high);
      share = b.DivScalar_(index, ramp.low - ramp.high);
      break;
    }
  }
  const TensorId within = b.Clamp(share, 0, 1);
  return b.Mul(frequency, b.AddScalar_(b.MulScalar_(within, 1 - 1 / scaling.factor), 1 / scaling.factor));
}

}  // namespace

// As transformers' LlamaRotaryEmbedding: frequencies theta^(-2i / head_dim) and angles in fp32, then cosine and sine in the compute type.
void MakeRopeTables(Step& step, TensorId like) {
  ProgramBuilder& b = step.b;
  b.Label("rope.tables");
  const int64_t width = step.model.mla.kv_lora > 0 ? step.model.mla.qk_rope : step.model.head_dim;
  const int64_t half = width / 2;
  const int64_t positions = step.sizes.positions;
  TensorId exponent = b.Cumsum(b.NewOnes(like, {half}, DataType::kFloat32), 0);
  exponent = b.AddScalar_(exponent, -1.0);
  exponent = b.DivScalar_(b.MulScalar_(exponent, 2.0), static_cast<double>(width));
  const TensorId frequency = Scaled(step, b.Unary("aten.reciprocal_", b.PowScalar(step.model.rope_theta, exponent)));
  const TensorId position = step.strategy.context > 1 ? b.ToType(step.context.positions, DataType::kFloat32)
                                                      : b.AddScalar_(b.Cumsum(b.NewOnes(like, {positions}, DataType::kFloat32), 0), -1.0);
  const TensorId angle = b.Mul(b.View(position, {positions, 1}), frequency);
  const Shape broadcast = {positions, 1, 1, half};
  const auto table = [&](const char* function) {
    TensorId values = b.Unary(function, angle);
    if (step.model.rope_scaling.attention_factor != 1) values = b.MulScalar_(values, step.model.rope_scaling.attention_factor);
    return b.View(b.ToType(values, step.workload.dtype), broadcast);
  };
  step.rope_cos = table("aten.cos");
  step.rope_sin = table("aten.sin");
}

TensorId RotateInPlace(Step& step, TensorId x) {
  ProgramBuilder& b = step.b;
  const FusedKernel kernel(b, step.software.fused.rope);
  const TensorId whole = Halves(step, x);
  const TensorId sine = b.Mul(whole, step.rope_sin);
  TensorId newest = b.Mul_(whole, step.rope_cos);
  newest = b.Sub_(Half(step, newest, whole, 0), b.Slice(sine, 3, 1, 2));
  newest = b.Add_(Half(step, newest, whole, 1), b.Slice(sine, 3, 0, 1));
  return b.Restride(newest, x);
}

TensorId RotateBack(Step& step, TensorId gradient, TensorId out) {
  ProgramBuilder& b = step.b;
  const FusedKernel kernel(b, step.software.fused.rope);
  const TensorId from = Halves(step, gradient);
  const TensorId like = out.valid() ? out : gradient;
  TensorId newest;
  TensorId whole;
  if (out.valid()) {
    whole = Halves(step, out);
    newest = b.MulOut(from, step.rope_cos, whole);
  } else {
    newest = whole = b.Mul(from, step.rope_cos);
  }
  newest = b.Addcmul_(Half(step, newest, whole, 0), b.Slice(from, 3, 1, 2), step.rope_sin, 1.0);
  newest = b.Addcmul_(Half(step, newest, whole, 1), b.Slice(from, 3, 0, 1), step.rope_sin, -1.0);
  if (out.valid()) return b.Restride(newest, like);
  return b.AsStrided(newest, b.shape(gradient), ir::ContiguousStrides(b.shape(gradient)), 0);
}

}  // namespace helm::model
