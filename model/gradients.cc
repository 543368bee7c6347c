#include "model/gradients.h"

#include <fmt/format.h>

#include "core/check.h"

namespace helm::model {

using ir::DataType;
using ir::StorageRole;
using ir::TensorId;

Gradients::Gradients(ProgramBuilder& builder, const ParameterPlan& plan, DataType dtype, ir::GroupId tensor_group, ir::GroupId data_group)
    : builder_(builder), plan_(plan), tensor_group_(tensor_group), data_group_(data_group) {
  builder_.program().segments = plan.segments;
  weights_.resize(plan.parameters.size());
  gradients_.resize(plan.parameters.size());
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
    auto flat = [&](const std::string& kind, DataType type, StorageRole role, ir::StorageId& storage) {
      storage = builder_.AddStorage(segment.name + "." + kind, segment.elements * ElementBytes(type), role);
      return builder_.AddPersistent(segment.name + "." + kind, type, {segment.elements}, storage);
    };
    SegmentTensors tensors;
    segment.gradient = gradient;
    tensors.parameter = flat("parameter", dtype, StorageRole::kParameter, segment.parameter);
    segment.master = segment.parameter;
    tensors.master = tensors.parameter;
    if (dtype != DataType::kFloat32) tensors.master = flat("master", DataType::kFloat32, StorageRole::kOptimizerState, segment.master);
    tensors.moment_first = flat("moment_first", DataType::kFloat32, StorageRole::kOptimizerState, segment.moment_first);
    tensors.moment_second = flat("moment_second", DataType::kFloat32, StorageRole::kOptimizerState, segment.moment_second);
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

void Gradients::WriteProduct(ParameterIndex index, TensorId output_gradient, TensorId input, Turn turn) {
  const TensorId target = Target(index);
  const TensorId transposed = builder_.T(output_gradient);
  if (builder_.dtype(input) != DataType::kFloat32) {
    const TensorId product = builder_.Mm(transposed, input);
    Written(index, Overwrite(turn) ? builder_.Copy_(target, product) : builder_.Add_(target, product), turn);
    return;
  }
  Written(index, Overwrite(turn) ? builder_.MmOut(transposed, input, target) : builder_.Addmm_(target, transposed, input), turn);
}

void Gradients::WriteSum(ParameterIndex index, TensorId value) {
  const TensorId target = Target(index);
  if (Overwrite({})) {
    Written(index, builder_.SumOut(value, 0, DataType::kFloat32, target), {});
    return;
  }
  Written(index, builder_.Add_(target, builder_.Sum(value, 0, false, DataType::kFloat32)), {});
}

void Gradients::WriteValue(ParameterIndex index, TensorId value, Turn turn) {
  const TensorId target = Target(index);
  Written(index, Overwrite(turn) ? builder_.Copy_(target, value) : builder_.Add_(target, value), turn);
}

void Gradients::Written(ParameterIndex index, TensorId version, Turn turn) {
  gradients_[static_cast<size_t>(index)] = version;
  const size_t bucket = plan_.bucket_of[static_cast<size_t>(index)];
  bucket_tensors_[bucket] = version;
  if (!last_ || !turn.final) return;
  HELM_CHECK(missing_[bucket] > 0, "every gradient is completed once");
  if (--missing_[bucket] > 0 || builder_.Size(data_group_) == 1) return;
  const std::string label = builder_.label();
  builder_.Label(fmt::format("gradients.{}", plan_.buckets[bucket].name));
  reductions_.emplace(bucket, builder_.AllReduce(Flat(bucket), data_group_));
  bucket_tensors_[bucket] = reductions_.at(bucket).result;
  builder_.Label(label);
}

TensorId Gradients::Flat(size_t bucket) {
  const TensorId newest = bucket_tensors_[bucket];
  if (builder_.shape(newest) == ir::Shape{plan_.buckets[bucket].elements}) return newest;
  return builder_.AsStrided(newest, {plan_.buckets[bucket].elements}, {1}, 0);
}

std::vector<TensorId> Gradients::Finish() {
  std::vector<TensorId> result;
  for (size_t bucket = 0; bucket < plan_.buckets.size(); ++bucket) {
    HELM_CHECK(missing_[bucket] == 0, "every gradient was written");
    builder_.Label(fmt::format("gradients.{}", plan_.buckets[bucket].name));
    if (const auto at = reductions_.find(bucket); at != reductions_.end()) builder_.Wait(at->second);
    TensorId flat = Flat(bucket);
    if (plan_.buckets[bucket].share == Share::kPartial) flat = builder_.Wait(builder_.AllReduce(flat, tensor_group_));
    result.push_back(flat);
  }
  return result;
}

}  // namespace helm::model
