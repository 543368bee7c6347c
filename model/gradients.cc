#include "model/gradients.h"

#include <fmt/format.h>

#include "core/check.h"

namespace helm::model {

using ir::DataType;
using ir::StorageRole;
using ir::TensorId;

Gradients::Gradients(ProgramBuilder& builder, const ParameterPlan& plan, DataType dtype, int64_t micro_batches,
                     const GradientGroups& groups)
    : builder_(builder), plan_(plan), micro_batches_(micro_batches), groups_(groups) {
  builder_.program().segments = plan.segments;
  weights_.resize(plan.parameters.size());
  gradients_.resize(plan.parameters.size());
  written_.resize(plan.parameters.size());
  for (const Bucket& bucket : plan.buckets) {
    AddBucket(bucket, dtype);
    AddParameters(bucket, dtype);
    missing_.push_back(bucket.parameters.size());
  }
}

void Gradients::AddBucket(const Bucket& bucket, DataType dtype) {
  const std::string name = bucket.name + ".gradient";
  const ir::StorageId gradient = builder_.AddStorage(name, bucket.elements * 4, StorageRole::kGradient);
  bucket_tensors_.push_back(builder_.AddPersistent(name, DataType::kFloat32, {bucket.elements}, gradient));
  for (const size_t index : bucket.segments) {
    ir::ParameterSegment& segment = builder_.program().segments[index];
    auto flat = [&](const std::string& kind, DataType type, StorageRole role, int64_t elements, ir::StorageId& storage) {
      storage = builder_.AddStorage(segment.name + "." + kind, elements * ElementBytes(type), role);
      return builder_.AddPersistent(segment.name + "." + kind, type, {elements}, storage);
    };
    const bool sharded = !segment.sharded_over.empty();
    const int64_t own = sharded ? segment.elements / builder_.Size(groups_.data) : segment.elements;
    SegmentTensors tensors;
    segment.gradient = gradient;
    tensors.parameter = flat("parameter", dtype, StorageRole::kParameter, segment.elements, segment.parameter);
    segment.master = segment.parameter;
    tensors.master = tensors.parameter;
    if (sharded || dtype != DataType::kFloat32) {
      tensors.master = flat("master", DataType::kFloat32, StorageRole::kOptimizerState, own, segment.master);
    }
    tensors.moment_first = flat("moment_first", DataType::kFloat32, StorageRole::kOptimizerState, own, segment.moment_first);
    tensors.moment_second = flat("moment_second", DataType::kFloat32, StorageRole::kOptimizerState, own, segment.moment_second);
    segments_.push_back(tensors);
  }
}

void Gradients::AddParameters(const Bucket& bucket, DataType dtype) {
  for (const ParameterIndex index : bucket.parameters) {
    const Parameter& parameter = plan_.parameters[static_cast<size_t>(index)];
    const ir::ParameterSegment& segment = builder_.program().segments[parameter.segment];
    weights_[static_cast<size_t>(index)] =
        builder_.AddPersistent(parameter.name, dtype, parameter.shape, segment.parameter, parameter.offset);
    gradients_[static_cast<size_t>(index)] = builder_.AddPersistent(parameter.name + ".gradient", DataType::kFloat32, parameter.shape,
                                                                    segment.gradient, segment.gradient_offset + parameter.offset);
  }
}

TensorId Gradients::Target(ParameterIndex index) {
  HELM_CHECK(index >= 0, "the model has this parameter");
  return gradients_[static_cast<size_t>(index)];
}

void Gradients::WriteProduct(ParameterIndex index, TensorId output_gradient, TensorId input) {
  const TensorId target = Target(index);
  const TensorId transposed = builder_.T(output_gradient);
  if (builder_.dtype(input) != DataType::kFloat32) {
    const TensorId product = builder_.Mm(transposed, input);
    Written(index, Overwrite(index) ? builder_.Copy_(target, product) : builder_.Add_(target, product));
    return;
  }
  Written(index, Overwrite(index) ? builder_.MmOut(transposed, input, target) : builder_.Addmm_(target, transposed, input));
}

void Gradients::WriteSum(ParameterIndex index, TensorId value) {
  const TensorId target = Target(index);
  if (Overwrite(index)) {
    Written(index, builder_.SumOut(value, 0, DataType::kFloat32, target));
    return;
  }
  Written(index, builder_.Add_(target, builder_.Sum(value, 0, false, DataType::kFloat32)));
}

void Gradients::WriteValue(ParameterIndex index, TensorId value) {
  const TensorId target = Target(index);
  Written(index, Overwrite(index) ? builder_.Copy_(target, value) : builder_.Add_(target, value));
}

void Gradients::Written(ParameterIndex index, TensorId version) {
  const auto at = static_cast<size_t>(index);
  gradients_[at] = version;
  const size_t bucket = plan_.bucket_of[at];
  bucket_tensors_[bucket] = version;
  if (++written_[at] < micro_batches_ * plan_.parameters[at].writes) return;
  HELM_CHECK(missing_[bucket] > 0, "every gradient is completed once");
  if (--missing_[bucket] == 0) Reduce(bucket);
}

void Gradients::Reduce(size_t bucket) {
  if (builder_.Size(groups_.data) == 1) return;
  const std::string label = builder_.label();
  builder_.Label(fmt::format("gradients.{}", plan_.buckets[bucket].name));
  const TensorId flat = Flat(bucket);
  const Pending pending =
      plan_.buckets[bucket].sharded ? builder_.ReduceScatter(flat, groups_.data) : builder_.AllReduce(flat, groups_.data);
  reductions_.emplace(bucket, pending);
  bucket_tensors_[bucket] = pending.result;
  builder_.Label(label);
}

TensorId Gradients::Flat(size_t bucket) {
  const TensorId newest = bucket_tensors_[bucket];
  if (builder_.shape(newest) == ir::Shape{plan_.buckets[bucket].elements}) return newest;
  return builder_.AsStrided(newest, {plan_.buckets[bucket].elements}, {1}, 0);
}

std::vector<TensorId> Gradients::Finish() {
  std::vector<TensorId> result;
  for (size_t index = 0; index < plan_.buckets.size(); ++index) {
    const Bucket& bucket = plan_.buckets[index];
    HELM_CHECK(missing_[index] == 0, "every gradient was written");
    builder_.Label(fmt::format("gradients.{}", bucket.name));
    const auto reduction = reductions_.find(index);
    TensorId flat = reduction != reductions_.end() ? builder_.Wait(reduction->second) : Flat(index);
    if (bucket.share == Share::kPartial) flat = builder_.Wait(builder_.AllReduce(flat, groups_.tensor));
    if (bucket.tied) flat = builder_.Wait(builder_.AllReduce(flat, groups_.embedding));
    result.push_back(flat);
  }
  return result;
}

}  // namespace helm::model
