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

// [sequences, heads, positions, head_dim] in the memory order [sequences, positions, heads, head_dim], as the kernels allocate.
Spec HeadsInside(const ProgramBuilder& b, TensorId like) {
  const Shape& s = b.shape(like);
  return {b.dtype(like), s, {s[1] * s[2] * s[3], s[3], s[1] * s[3], 1}};
}

}  // namespace

void FlashForward(Step& step, AttentionSaved& saved) {
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
  if (!step.cuda) {
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
