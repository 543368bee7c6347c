// One transformer layer: two pre-norm residual branches, attention and feed-forward.
#include "model/step.h"

namespace helm::model {

using ir::Phase;
using ir::TensorId;

namespace {

// What the framework launches besides: each writes one element. Forward and backward have one each, so that nothing orders those of a
// forward and those of another micro-batch's backward beside it.
void SmallKernels(Step& step, int64_t count) {
  step.b.Label("layer.small_kernels");
  TensorId& scratch = step.b.phase() == Phase::kForward ? step.scratch_forward : step.scratch_backward;
  for (int64_t i = 0; i < count; ++i) scratch = step.b.AddScalar_(scratch, 1.0);
}

// Of a model with adapters.
bool TrainsAttention(const LayerParameters& parameters) { return !parameters.qkv_adapter.none() || !parameters.out_adapter.none(); }

bool HasMoe(const LayerParameters& parameters) { return parameters.experts.router >= 0; }

// The norm, and in one kernel with it the cast of the input of the product behind it, where there is one of 8 bits and the framework has
// such a kernel.
NormSaved NormForProduct(Step& step, TensorId rows, ParameterIndex weight, ParameterIndex bias, ParameterIndex product) {
  const bool casts = product >= 0 && CastsWithNorm(step);
  const FusedKernel kernel(step.b, step.cuda && casts);
  NormSaved saved = NormForward(step, rows, weight, bias);
  if (casts) CastInput(step, saved.output, product);
  return saved;
}

void FirstNorm(Step& step, const LayerParameters& parameters, TensorId rows, BlockSaved& saved) {
  step.b.Label("attention.norm");
  saved.norm1 = NormForProduct(step, rows, parameters.norm1_weight, parameters.norm1_bias, parameters.qkv_weight);
}

void SecondNorm(Step& step, const LayerParameters& parameters, TensorId middle, BlockSaved& saved) {
  step.b.Label("mlp.norm");
  saved.norm2 = NormForProduct(step, middle, parameters.norm2_weight, parameters.norm2_bias, parameters.mlp.up_weight);
}

// Attention with its residual, and the norm before the feed-forward layer: returns what flows on beside that norm.
TensorId FirstHalf(Step& step, const LayerParameters& parameters, TensorId rows, BlockSaved& saved) {
  SmallKernels(step, step.software.layer_kernels);
  FirstNorm(step, parameters, rows, saved);
  const TensorId attention = AttentionForward(step, parameters, saved.norm1.output, saved.attention);
  const TensorId middle = AddBranch(step, attention, parameters.out_bias, rows, "attention.residual", saved.attention_mask);
  SecondNorm(step, parameters, middle, saved);
  return middle;
}

TensorId SecondHalf(Step& step, const LayerParameters& parameters, TensorId middle, BlockSaved& saved) {
  if (HasMoe(parameters)) SmallKernels(step, step.software.expert_layer_kernels);
  const TensorId mlp = HasMoe(parameters) ? MoeForward(step, parameters, saved.norm2.output, saved.moe)
                                          : MlpForward(step, parameters.mlp, "mlp", saved.norm2.output, saved.mlp);
  return AddBranch(step, mlp, parameters.mlp.down_bias, middle, "mlp.residual", saved.mlp_mask);
}

// The chosen parts of attention, up to its residual.
void RepeatFirstParts(Step& step, const Recomputed& again, const LayerParameters& parameters, BlockSaved& saved) {
  step.b.SetPhase(Phase::kRecompute);
  const TensorId rows = saved.norm1.input;
  if (again.norm) FirstNorm(step, parameters, rows, saved);
  RepeatAttention(step, parameters, saved.norm1.output, saved.attention);
  if (!again.attention_output) return;
  step.b.Label("attention.out");
  const TensorId attention =
      RowForward(step, saved.attention.output_rows, {parameters.out_weight, -1, &parameters.out_adapter}, &saved.attention.out_linear);
  saved.norm2.input = AddBranch(step, attention, parameters.out_bias, rows, "attention.residual", saved.attention_mask);
}

// The chosen parts of the feed-forward layer, from the input of its norm.
void RepeatSecondParts(Step& step, const Recomputed& again, const LayerParameters& parameters, BlockSaved& saved) {
  step.b.SetPhase(Phase::kRecompute);
  if (again.norm) SecondNorm(step, parameters, saved.norm2.input, saved);
  if (HasMoe(parameters)) {
    RepeatMoe(step, parameters, saved.norm2.output, saved.moe);
  } else {
    MlpInner(step, parameters.mlp, "mlp", saved.norm2.output, saved.mlp, {again.mlp_up, again.mlp_activation});
  }
}

// Everything that backward reads, from the layer's input alone. It ends before the down projection, whose output backward does not need
// (with experts behind it: their outputs' weights have gradients; torch.utils.checkpoint without reentrance stops there too), unless there
// is a mask behind it to be made again, or the framework repeats the whole layer.
void RepeatForward(Step& step, int64_t layer, int32_t micro_batch, BlockSaved& saved) {
  const LayerParameters& parameters = step.plan.layers[static_cast<size_t>(layer)];
  const TensorId rows = saved.norm1.input;
  saved = {};
  step.b.At(Phase::kRecompute, static_cast<int32_t>(layer), micro_batch);
  const TensorId middle = FirstHalf(step, parameters, rows, saved);
  if (step.software.recompute_whole || step.software.hidden_dropout > 0) {
    SecondHalf(step, parameters, middle, saved);
  } else if (HasMoe(parameters)) {
    MoeInner(step, parameters, saved.norm2.output, saved.moe);
  } else {
    MlpInner(step, parameters.mlp, "mlp", saved.norm2.output, saved.mlp);
  }
}

}  // namespace

TensorId BlockForward(Step& step, int64_t layer, int32_t micro_batch, TensorId rows, BlockSaved& saved) {
  const LayerParameters& parameters = step.plan.layers[static_cast<size_t>(layer)];
  step.b.At(Phase::kForward, static_cast<int32_t>(layer), micro_batch);
  return SecondHalf(step, parameters, FirstHalf(step, parameters, rows, saved), saved);
}

TensorId BlockBackward(Step& step, int64_t layer, int32_t micro_batch, BlockSaved& saved, TensorId gradient) {
  ProgramBuilder& b = step.b;
  const LayerParameters& parameters = step.plan.layers[static_cast<size_t>(layer)];
  const Recomputed& again = step.recomputed[static_cast<size_t>(layer)];
  if (again.whole) RepeatForward(step, layer, micro_batch, saved);
  // Attention is computed again when its backward comes, unless its output is wanted before.
  if (again.attention_output) RepeatFirstParts(step, again, parameters, saved);
  RepeatSecondParts(step, again, parameters, saved);
  b.At(Phase::kInputGradient, static_cast<int32_t>(layer), micro_batch);
  SmallKernels(step, step.software.layer_kernels + (HasMoe(parameters) ? step.software.expert_layer_kernels : 0));
  b.Label("mlp.residual");
  TensorId of_branch = BranchGradient(step, gradient, saved.mlp_mask);
  of_branch = HasMoe(parameters)
                  ? MoeBackward(step, parameters, saved.norm2.output, saved.moe, of_branch)
                  : MlpBackward(step, parameters.mlp, "mlp", saved.norm2.output, saved.mlp, of_branch, TrainsAttention(parameters));
  if (!of_branch.valid()) return {};
  b.Label("mlp.norm");
  of_branch = NormBackward(step, saved.norm2, of_branch, parameters.norm2_weight, parameters.norm2_bias);
  b.Label("mlp.residual");
  const TensorId middle = b.Add_(of_branch, gradient);
  b.Label("attention.residual");
  of_branch = BranchGradient(step, middle, saved.attention_mask);
  if (!again.attention_output) RepeatFirstParts(step, again, parameters, saved);
  b.SetPhase(Phase::kInputGradient);
  of_branch = AttentionBackward(step, parameters, saved.norm1.output, saved.attention, of_branch);
  if (!of_branch.valid()) return {};
  b.Label("attention.norm");
  of_branch = NormBackward(step, saved.norm1, of_branch, parameters.norm1_weight, parameters.norm1_bias);
  b.Label("attention.residual");
  return b.Add_(of_branch, middle);
}

}  // namespace helm::model
