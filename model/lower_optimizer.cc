// Gradient norm over the whole model, clipping as torch.nn.utils.clip_grad_norm_, AdamW, copies to narrower parameters.
#include <algorithm>
#include <map>
#include <optional>

#include "model/step.h"

namespace helm::model {

using ir::DataType;
using ir::Phase;
using ir::TensorId;

namespace {

constexpr double kClipEpsilon = 1e-6;  // torch.nn.utils.clip_grad_norm_
constexpr int64_t kNormRowElementsMax = 4096;

// A long fp32 sum loses digits, so the norm is taken by rows: the longest equal ones of at most this length.
int64_t NormRowElements(int64_t elements) {
  for (int64_t width = std::min(kNormRowElementsMax, elements); width > 1; --width) {
    if (elements % width == 0) return width;
  }
  return 1;
}

TensorId SumOfSquares(Step& step, TensorId flat) {
  ProgramBuilder& b = step.b;
  const int64_t elements = b.shape(flat)[0];
  const int64_t width = NormRowElements(elements);
  TensorId norms;
  {
    const FusedKernel kernel(b, step.cuda && b.dtype(flat) != DataType::kFloat32);  // widens what it reads
    norms = b.VectorNorm(b.View(b.ToType(flat, DataType::kFloat32), {elements / width, width}), 1);
  }
  return b.View(b.Dot(norms, norms), {1});
}

TensorId Accumulate(ProgramBuilder& b, TensorId total, TensorId term) { return total.valid() ? b.Add_(total, term) : term; }

// Of experts that are split over ranks, summed over those with others; where their optimizer state is sharded, over its shards too.
TensorId SquaresOfExperts(Step& step, TensorId own, bool sharded) {
  ProgramBuilder& b = step.b;
  const TensorId model = b.Wait(b.AllReduce(own, step.expert_model_group));
  return sharded ? b.Wait(b.AllReduce(model, step.expert_data_group)) : model;
}

// Parameters that every rank of the tensor group holds are counted once, and so are tied embeddings: on the first stage. With ZeRO each
// data-parallel rank has the squares of its shards.
TensorId GradientNorm(Step& step, const std::vector<TensorId>& buckets) {
  ProgramBuilder& b = step.b;
  b.Label("gradient_norm");
  TensorId sharded, replicated, experts;
  bool experts_sharded = false;
  for (size_t i = 0; i < buckets.size(); ++i) {
    const Bucket& bucket = step.plan.buckets[i];
    if (bucket.frozen || (bucket.tied && step.stage > 0)) continue;
    TensorId& total = bucket.experts ? experts : bucket.share == Share::kSharded ? sharded : replicated;
    total = Accumulate(b, total, SumOfSquares(step, buckets[i]));
    if (bucket.experts) experts_sharded = bucket.sharded;
  }
  // A stage without layers may have nothing that is split.
  if (sharded.valid() && step.tensor_parallel) sharded = b.Wait(b.AllReduce(sharded, step.tensor_group));
  TensorId total = sharded.valid() ? sharded : replicated;
  if (sharded.valid() && replicated.valid()) total = b.Add_(sharded, replicated);
  if (!total.valid()) total = b.MulScalar_(b.NewOnes(b.program().inputs.begin()->second, {1}, DataType::kFloat32), 0.0);  // only the loss
  if (ShardingOf(step.strategy).optimizer_state && !step.plan.buckets.empty()) total = b.Wait(b.AllReduce(total, step.data_group));
  if (experts.valid()) total = b.Add_(total, SquaresOfExperts(step, experts, experts_sharded));
  if (step.strategy.pipeline > 1) total = b.Wait(b.AllReduce(total, step.pipeline_group));
  return b.Unary("aten.sqrt", total);
}

void Clip(Step& step, TensorId norm, std::vector<TensorId>& buckets) {
  ProgramBuilder& b = step.b;
  b.Label("clip");
  TensorId coefficient = b.Unary("aten.reciprocal_", b.AddScalar(norm, kClipEpsilon));
  coefficient = b.ClampMax_(b.MulScalar_(coefficient, step.workload.optimizer.clip_norm), 1.0);
  b.program().outputs["clip_coefficient"] = coefficient;
  for (TensorId& flat : buckets) {
    if (flat.valid()) flat = b.Mul_(flat, coefficient);
  }
}

// The newest master copy. Where the types differ, one kernel widens what it reads and narrows what it writes (the precision-aware FusedAdam
// of Transformer Engine).
TensorId Adamw(Step& step, const Gradients::SegmentTensors& tensors, TensorId gradient, bool weight_decay, TensorId count) {
  ProgramBuilder& b = step.b;
  const ir::Optimizer& adam = step.workload.optimizer;
  const DataType own = b.dtype(tensors.master);
  const bool mixed = b.dtype(gradient) != own || b.dtype(tensors.moment_first) != own;
  const FusedKernel kernel(b, step.cuda && mixed);
  const auto wide = [&](TensorId x) { return mixed ? b.ToType(x, DataType::kFloat32) : x; };
  const std::vector<TensorId> read = {wide(tensors.master), wide(gradient), wide(tensors.moment_first), wide(tensors.moment_second)};
  auto list = [](TensorId x) { return std::vector<TensorId>{x}; };
  const std::vector<TensorId> written =
      b.Write("aten._fused_adamw_",
              {list(read[0]), list(read[1]), list(read[2]), list(read[3]), std::vector<TensorId>{}, list(count), adam.learning_rate,
               adam.beta1, adam.beta2, weight_decay ? adam.weight_decay : 0.0, adam.epsilon, false, false},
              read);
  if (read[2] != tensors.moment_first) b.Copy_(tensors.moment_first, written[2]);
  if (read[3] != tensors.moment_second) b.Copy_(tensors.moment_second, written[3]);
  return read[0] == tensors.master ? written[0] : b.Copy_(tensors.master, written[0]);
}

// With ZeRO the parameters are being gathered over `group` when it returns.
std::optional<Pending> UpdateSegment(Step& step, size_t index, ir::GroupId group, TensorId bucket, TensorId count) {
  ProgramBuilder& b = step.b;
  const ir::ParameterSegment& segment = step.plan.segments[index];
  const Gradients::SegmentTensors& tensors = step.gradients.Segment(index);
  const bool sharded = !segment.sharded_over.empty();
  const TensorId gradient = sharded ? bucket : b.Slice(bucket, 0, segment.gradient_offset, segment.gradient_offset + segment.elements);
  const TensorId written = Adamw(step, tensors, gradient, segment.weight_decay, count);
  if (tensors.parameter == tensors.master) return std::nullopt;  // the next step gathers it, or computes with it
  if (sharded) return b.AllGatherInto(b.ToType(written, b.dtype(tensors.parameter)), tensors.parameter, group);
  b.Copy_(tensors.parameter, written);
  return std::nullopt;
}

}  // namespace

void LowerOptimizer(Step& step) {
  ProgramBuilder& b = step.b;
  b.At(Phase::kOptimizer, -1, -1);
  std::vector<TensorId> buckets = step.gradients.Finish();
  b.SetPhase(Phase::kOptimizer);
  // Narrower gradients are copied for the update, unless its kernel takes them as they are, as those with narrow moments do.
  const bool copied = step.software.optimizer_state == ir::Precision::kFloat32;
  for (TensorId& flat : buckets) {
    if (copied && flat.valid()) flat = b.ToType(flat, DataType::kFloat32);
  }
  const TensorId norm = GradientNorm(step, buckets);
  b.program().outputs["gradient_norm"] = norm;
  if (step.workload.optimizer.clip_norm > 0) Clip(step, norm, buckets);

  b.Label("adamw");
  const ir::StorageId storage = b.AddStorage("optimizer.step", 4, ir::StorageRole::kOptimizerState);
  const TensorId count = b.AddScalar_(b.AddPersistent("optimizer.step", DataType::kFloat32, {}, storage), 1.0);
  std::map<ir::GroupId, Pending> last;
  for (size_t i = 0; i < step.plan.buckets.size(); ++i) {
    if (step.plan.buckets[i].frozen) continue;
    const ir::GroupId group = step.gradients.GroupOf(step.plan.buckets[i]);
    for (const size_t segment : step.plan.buckets[i].segments) {
      if (const auto gathering = UpdateSegment(step, segment, group, buckets[i], count)) last[group] = *gathering;
    }
  }
  for (const auto& [group, gathering] : last) b.Wait(gathering);  // and with it all that were started before on the group
}

}  // namespace helm::model
