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

FlashOutputs CudnnForward(Step& step, const FlashInputs& inputs) {
  ProgramBuilder& b = step.b;
  const Shape s = b.shape(inputs.query);
  const Spec output = HeadsInside(b, inputs.query, b.shape(inputs.value)[3]);
  const Spec log_sum{DataType::kFloat32, {s[0], s[1], s[2], 1}, {}}, random{DataType::kInt64, {}, {}};
  const auto results = b.Compute("aten._scaled_dot_product_cudnn_attention",
                                 {inputs.query, inputs.key, inputs.value, NoneArgument{}, true, 0.0, inputs.causal},
                                 {output, log_sum, {}, {}, {}, {}, random, random, {}});
  return {results[0], {results[1], results[6], results[7]}};
}

std::vector<TensorId> CudnnBackward(Step& step, const FlashInputs& inputs, const FlashOutputs& outputs, TensorId gradient,
                                    const std::vector<std::optional<Spec>>& specs) {
  const int64_t queries = step.b.shape(inputs.query)[2], keys = step.b.shape(inputs.key)[2];
  return step.b.Compute("aten._scaled_dot_product_cudnn_attention_backward",
                        {gradient, inputs.query, inputs.key, inputs.value, outputs.output, outputs.extra[0], outputs.extra[1],
                         outputs.extra[2], NoneArgument{}, NoneArgument{}, NoneArgument{}, queries, keys, 0.0, inputs.causal},
                        specs);
}

}  // namespace

FlashOutputs FlashForward(Step& step, const FlashInputs& inputs) {
  if (UsesCudnn(step)) return CudnnForward(step, inputs);
  ProgramBuilder& b = step.b;
  const Shape s = b.shape(inputs.query);
  const Spec output = HeadsInside(b, inputs.query);
  const std::vector<Argument> arguments = {inputs.query, inputs.key, inputs.value, 0.0, inputs.causal};
  if (!step.cuda) {
    const Spec log_sum{DataType::kFloat32, {s[0], s[1], s[2]}, {s[1] * s[2], 1, s[1]}};
    const auto results = b.Compute("aten._scaled_dot_product_flash_attention_for_cpu", arguments, {output, log_sum});
    return {results[0], {results[1]}};
  }
  // (output, logsumexp, cum_seq_q, cum_seq_k, max_q, max_k, rng_state, unused, debug_attn_mask): the sequence tables are undefined tensors
  // for batches of equal length, max_q and max_k are numbers, and without dropout nothing reads the random state.
  const Spec log_sum{DataType::kFloat32, {s[0], s[1], s[2]}, {}};
  const auto results = b.Compute("aten._scaled_dot_product_flash_attention", arguments, {output, log_sum, {}, {}, {}, {}, {}, {}, {}});
  return {results[0], {results[1]}};
}

AttentionGradients FlashBackward(Step& step, const FlashInputs& inputs, const FlashOutputs& outputs, TensorId gradient) {
  ProgramBuilder& b = step.b;
  const std::vector<std::optional<Spec>> specs = {HeadsInside(b, inputs.query), HeadsInside(b, inputs.key), HeadsInside(b, inputs.value)};
  std::vector<Argument> arguments = {gradient, inputs.query, inputs.key, inputs.value, outputs.output, outputs.extra[0]};
  std::vector<TensorId> results;
  if (UsesCudnn(step)) {
    results = CudnnBackward(step, inputs, outputs, gradient, specs);
  } else if (!step.cuda) {
    arguments.insert(arguments.end(), {Argument(0.0), Argument(inputs.causal)});
    results = b.Compute("aten._scaled_dot_product_flash_attention_for_cpu_backward", arguments, specs);
  } else {
    const int64_t queries = b.shape(inputs.query)[2], keys = b.shape(inputs.key)[2];
    arguments.insert(arguments.end(), {NoneArgument{}, NoneArgument{}, queries, keys, 0.0, inputs.causal, NoneArgument{}, NoneArgument{}});
    results = b.Compute("aten._scaled_dot_product_flash_attention_backward", arguments, specs);
  }
  return {results[0], results[1], results[2]};
}

TensorId LogSumRows(Step& step, const FlashOutputs& outputs) {
  ProgramBuilder& b = step.b;
  const TensorId by_position = b.Transpose(std::get<TensorId>(outputs.extra[0]), 1, 2);
  return b.Copy_(b.NewEmpty(by_position, b.shape(by_position), b.dtype(by_position)), by_position);
}

// The CPU's kernel writes and reads the logarithms of a position's heads side by side, CUDA's those of a head's positions.
TensorId LogSumOf(Step& step, TensorId rows) {
  ProgramBuilder& b = step.b;
  const TensorId by_head = b.Transpose(rows, 1, 2);
  return step.cuda ? b.Copy_(b.NewEmpty(by_head, b.shape(by_head), b.dtype(by_head)), by_head) : by_head;
}

}  // namespace helm::model
