#include "model/device_ops.h"

#include "core/check.h"

namespace helm::model {

using ir::Argument;
using ir::DataType;
using ir::NoneArgument;
using ir::Shape;
using ir::TensorId;
using Spec = ProgramBuilder::ResultSpec;

namespace {

// [sequences, heads, positions, width] in the memory order [sequences, positions, heads, width], as the kernels allocate.
Spec HeadsInside(const ProgramBuilder& b, TensorId like, int64_t width) {
  const Shape& s = b.shape(like);
  return {b.dtype(like), {s[0], s[1], s[2], width}, {s[1] * s[2] * width, width, s[1] * width, 1}};
}
Spec HeadsInside(const ProgramBuilder& b, TensorId like) { return HeadsInside(b, like, b.shape(like)[3]); }

// Flash kernels take heads of one width; cuDNN's take values narrower than queries and keys. (output, logsumexp, cum_seq_q, cum_seq_k,
// max_q, max_k, philox_seed, philox_offset, debug_attn_mask).
bool UsesCudnn(const Step& step) { return step.cuda && step.model.mla.kv_lora > 0; }

void CudnnForward(Step& step, AttentionSaved& saved) {
  ProgramBuilder& b = step.b;
  const Shape s = b.shape(saved.query);
  const Spec output = HeadsInside(b, saved.query, b.shape(saved.value)[3]);
  const Spec log_sum{DataType::kFloat32, {s[0], s[1], s[2], 1}, {}}, random{DataType::kInt64, {}, {}};
  const auto results =
      b.Compute("aten._scaled_dot_product_cudnn_attention", {saved.query, saved.key, saved.value, NoneArgument{}, true, 0.0, true},
                {output, log_sum, {}, {}, {}, {}, random, random, {}});
  saved.output = results[0];
  saved.extra = {results[1], results[6], results[7]};
}

std::vector<TensorId> CudnnBackward(Step& step, const AttentionSaved& saved, TensorId gradient,
                                    const std::vector<std::optional<Spec>>& specs) {
  const int64_t positions = step.b.shape(saved.query)[2];
  return step.b.Compute("aten._scaled_dot_product_cudnn_attention_backward",
                        {gradient, saved.query, saved.key, saved.value, saved.output, saved.extra[0], saved.extra[1], saved.extra[2],
                         NoneArgument{}, NoneArgument{}, NoneArgument{}, positions, positions, 0.0, true},
                        specs);
}

}  // namespace

void FlashForward(Step& step, AttentionSaved& saved) {
  if (UsesCudnn(step)) return CudnnForward(step, saved);
  ProgramBuilder& b = step.b;
  const Shape s = b.shape(saved.query);
  const Spec output = HeadsInside(b, saved.query);
  if (!step.cuda) {
    const Spec log_sum{DataType::kFloat32, {s[0], s[1], s[2]}, {s[1] * s[2], 1, s[1]}};
    const auto results =
        b.Compute("aten._scaled_dot_product_flash_attention_for_cpu", {saved.query, saved.key, saved.value, 0.0, true}, {output, log_sum});
    saved.output = results[0];
    saved.extra = {results[1]};
    return;
  }
  // (output, logsumexp, cum_seq_q, cum_seq_k, max_q, max_k, rng_state, unused, debug_attn_mask): the sequence tables are undefined tensors
  // for batches of equal length, max_q and max_k are numbers, and without dropout nothing reads the random state.
  const Spec log_sum{DataType::kFloat32, {s[0], s[1], s[2]}, {}};
  const auto results = b.Compute("aten._scaled_dot_product_flash_attention", {saved.query, saved.key, saved.value, 0.0, true},
                                 {output, log_sum, {}, {}, {}, {}, {}, {}, {}});
  saved.output = results[0];
  saved.extra = {results[1]};
}

AttentionGradients FlashBackward(Step& step, const AttentionSaved& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  const std::vector<std::optional<Spec>> specs = {HeadsInside(b, saved.query), HeadsInside(b, saved.key), HeadsInside(b, saved.value)};
  std::vector<Argument> arguments = {gradient, saved.query, saved.key, saved.value, saved.output, saved.extra[0]};
  std::vector<TensorId> results;
  if (UsesCudnn(step)) {
    results = CudnnBackward(step, saved, gradient, specs);
  } else if (!step.cuda) {
    arguments.insert(arguments.end(), {Argument(0.0), Argument(true)});
    results = b.Compute("aten._scaled_dot_product_flash_attention_for_cpu_backward", arguments, specs);
  } else {
    const int64_t positions = b.shape(saved.query)[2];
    arguments.insert(arguments.end(), {NoneArgument{}, NoneArgument{}, positions, positions, 0.0, true, NoneArgument{}, NoneArgument{}});
    results = b.Compute("aten._scaled_dot_product_flash_attention_backward", arguments, specs);
  }
  return {results[0], results[1], results[2]};
}

}  // namespace helm::model
