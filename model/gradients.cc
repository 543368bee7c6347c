#include "model/gradients.h"

#include <fmt/format.h>

#include "core/check.h"

namespace helm::model {

using ir::DataType;
using ir::StorageRole;
using ir::TensorId;

namespace {

ScatteredGradients::Options ScatterOptions(const GradientOptions& options) {
  return {.passes = options.reduce_last_only ? options.micro_batches : 1, .reduced = options.reduced, .divisor = options.divisor};
}

}  // namespace

Gradients::Gradients(ProgramBuilder& builder, const ParameterPlan& plan, const GradientGroups& groups, const GradientOptions& options)
    : builder_(builder),
      plan_(plan),
      groups_(groups),
      options_(options),
      gathered_(builder, plan, options.dtype, groups.data, options.gather_copied),
      scattered_(builder, plan, groups.data, groups.copies, ScatterOptions(options)) {
  builder_.program().segments = plan.segments;
  weights_.resize(plan.parameters.size());
  gradients_.resize(plan.parameters.size());
  written_.resize(plan.parameters.size());
  bucket_tensors_.resize(plan.buckets.size());
  segments_.resize(plan.segments.size());
  for (size_t index = 0; index < plan.buckets.size(); ++index) {
    AddBucket(index);
    AddParameters(plan.buckets[index]);
    missing_.push_back(plan.buckets[index].parameters.size());
  }
}

void Gradients::AddBucket(size_t index) {
  const Bucket& bucket = plan_.buckets[index];
  ir::StorageId gradient;  // none yet where gradients live only for a while
  if (!bucket.scattered && !bucket.frozen) {
    const std::string name = bucket.name + ".gradient";
    gradient = builder_.AddStorage(name, bucket.elements * ElementBytes(options_.kept), StorageRole::kGradient);
    bucket_tensors_[index] = builder_.AddPersistent(name, options_.kept, {bucket.elements}, gradient);
    if (options_.bucket_copies && !bucket.sharded && builder_.Size(GroupOf(bucket)) > 1) {
      const ir::StorageId copy =
          builder_.AddStorage(name + ".bucket", bucket.elements * ElementBytes(options_.dtype), StorageRole::kGradient);
      builder_.AddPersistent(name + ".bucket", options_.dtype, {bucket.elements}, copy);
    }
  }
  for (const size_t segment : bucket.segments) {
    AddSegment(bucket, builder_.program().segments[segment], gradient);
    if (bucket.gathered) gathered_.SetShard(index, segments_[segment].master);
  }
}

void Gradients::AddSegment(const Bucket& bucket, ir::ParameterSegment& segment, ir::StorageId gradient) {
  auto flat = [&](const std::string& kind, DataType type, StorageRole role, int64_t elements, ir::StorageId& storage) {
    storage = builder_.AddStorage(segment.name + "." + kind, elements * ElementBytes(type), role);
    return builder_.AddPersistent(segment.name + "." + kind, type, {elements}, storage);
  };
  const int64_t own = bucket.sharded ? segment.elements / builder_.Size(GroupOf(bucket)) : segment.elements;
  SegmentTensors& tensors = segments_[static_cast<size_t>(&segment - builder_.program().segments.data())];
  if (bucket.frozen) {
    tensors.parameter = tensors.master = flat("parameter", options_.dtype, StorageRole::kParameter, own, segment.parameter);
    segment.master = segment.parameter;
    return;
  }
  segment.gradient = gradient;
  if (bucket.gathered) {
    const DataType type = options_.main_parameters ? DataType::kFloat32 : options_.moments;
    tensors.master = flat("parameter", type, StorageRole::kParameter, own, segment.master);
    segment.parameter = segment.master;
    tensors.parameter = tensors.master;
  } else {
    tensors.parameter = flat("parameter", options_.dtype, StorageRole::kParameter, segment.elements, segment.parameter);
    segment.master = segment.parameter;
    tensors.master = tensors.parameter;
    if (bucket.sharded || (options_.main_parameters && options_.dtype != DataType::kFloat32)) {
      tensors.master = flat("master", DataType::kFloat32, StorageRole::kOptimizerState, own, segment.master);
    }
  }
  tensors.moment_first = flat("moment_first", options_.moments, StorageRole::kOptimizerState, own, segment.moment_first);
  tensors.moment_second = flat("moment_second", options_.moments, StorageRole::kOptimizerState, own, segment.moment_second);
}

void Gradients::AddParameters(const Bucket& bucket) {
  for (const ParameterIndex index : bucket.parameters) {
    const Parameter& parameter = plan_.parameters[static_cast<size_t>(index)];
    const ir::ParameterSegment& segment = builder_.program().segments[parameter.segment];
    if (!bucket.gathered) {
      weights_[static_cast<size_t>(index)] =
          builder_.AddPersistent(parameter.name, options_.dtype, parameter.shape, segment.parameter, parameter.offset);
    }
    if (!bucket.scattered && !bucket.frozen) {
      gradients_[static_cast<size_t>(index)] = builder_.AddPersistent(parameter.name + ".gradient", options_.kept, parameter.shape,
                                                                      segment.gradient, segment.gradient_offset + parameter.offset);
    }
  }
}

TensorId Gradients::Weight(ParameterIndex index) {
  const TensorId weight = weights_[static_cast<size_t>(index)];
  return weight.valid() ? weight : gathered_.Weight(index);
}

void Gradients::Skip(ParameterIndex index) {
  if (Frozen(index)) return;
  if (Scattered(index)) return scattered_.Skip(index);
  Written(index, Target(index));
}

TensorId Gradients::Target(ParameterIndex index) {
  HELM_CHECK(index >= 0 && !Frozen(index), "the model has this parameter and trains it");
  return gradients_[static_cast<size_t>(index)];
}

void Gradients::WriteProduct(ParameterIndex index, TensorId output_gradient, TensorId input) {
  const bool batched = builder_.shape(input).size() == 3;
  const TensorId transposed = batched ? builder_.Transpose(output_gradient, 1, 2) : builder_.T(output_gradient);
  if (!Scattered(index)) return AddProduct(index, transposed, input);
  scattered_.Add(index, batched ? builder_.Bmm(transposed, input) : builder_.Mm(transposed, input));
}

void Gradients::WriteProduct(ParameterIndex index, const std::function<TensorId()>& product) {
  if (Scattered(index)) return scattered_.Add(index, product());
  const TensorId target = Target(index);
  TensorId version;
  {
    const FusedKernel kernel(builder_, options_.fused_products);
    const TensorId value = product();
    version = Overwrite(index) ? builder_.Copy_(target, value) : builder_.Add_(target, value);
  }
  Written(index, version);
}

// A product writes and adds in its own type. In another it takes a kernel that ATen does not have (Apex, Transformer Engine), written as a
// region (ir/region.h). Autograd keeps the first product as it is and adds later ones in a kernel of their own.
void Gradients::AddProduct(ParameterIndex index, TensorId left, TensorId right) {
  const bool batched = builder_.shape(right).size() == 3;
  const TensorId target = Target(index);
  const bool same_type = builder_.dtype(right) == options_.kept;
  const bool adds_itself = same_type && (options_.fused_products || options_.dtype == DataType::kFloat32);
  if (same_type && Overwrite(index)) {
    Written(index, batched ? builder_.BmmOut(left, right, target) : builder_.MmOut(left, right, target));
  } else if (adds_itself) {
    Written(index, batched ? builder_.Baddbmm_(target, left, right) : builder_.Addmm_(target, left, right));
  } else {
    TensorId version;
    {
      const FusedKernel kernel(builder_, options_.fused_products);
      const TensorId value = batched ? builder_.Bmm(left, right) : builder_.Mm(left, right);
      version = Overwrite(index) ? builder_.Copy_(target, value) : builder_.Add_(target, value);
    }
    Written(index, version);  // behind the region: a reduction may begin here
  }
}

void Gradients::WriteSum(ParameterIndex index, TensorId value) {
  if (Scattered(index)) return scattered_.Add(index, builder_.Sum(value, 0, false, options_.dtype));
  const TensorId target = Target(index);
  if (Overwrite(index)) {
    Written(index, builder_.SumOut(value, 0, options_.kept, target));
    return;
  }
  Written(index, builder_.Add_(target, builder_.Sum(value, 0, false, options_.kept)));
}

void Gradients::WriteValue(ParameterIndex index, TensorId value) {
  if (Scattered(index)) return scattered_.Add(index, value);
  const TensorId target = Target(index);
  Written(index, Overwrite(index) ? builder_.Copy_(target, value) : builder_.Add_(target, value));
}

void Gradients::Written(ParameterIndex index, TensorId version) {
  const auto at = static_cast<size_t>(index);
  gradients_[at] = version;
  const size_t bucket = plan_.bucket_of[at];
  bucket_tensors_[bucket] = version;
  if (++written_[at] < options_.micro_batches * plan_.parameters[at].writes) return;
  HELM_CHECK(missing_[bucket] > 0, "every gradient is completed once");
  if (--missing_[bucket] == 0 && options_.reduce_overlap) Reduce(bucket);
}

void Gradients::Reduce(size_t bucket) {
  const ir::GroupId group = GroupOf(plan_.buckets[bucket]);
  if (builder_.Size(group) == 1) return;
  const std::string label = builder_.label();
  builder_.Label(fmt::format("gradients.{}", plan_.buckets[bucket].name));
  const TensorId flat = Flat(bucket);
  const Pending pending = plan_.buckets[bucket].sharded ? builder_.ReduceScatter(flat, group) : builder_.AllReduce(flat, group);
  reductions_.emplace(bucket, pending);
  bucket_tensors_[bucket] = pending.result;
  builder_.Label(label);
}

TensorId Gradients::Flat(size_t bucket) {
  const TensorId newest = bucket_tensors_[bucket];
  if (builder_.shape(newest) == ir::Shape{plan_.buckets[bucket].elements}) return newest;
  return builder_.AsStrided(newest, {plan_.buckets[bucket].elements}, {1}, 0);
}

TensorId Gradients::EndReduction(size_t index) {
  const Bucket& bucket = plan_.buckets[index];
  if (bucket.scattered) {
    const TensorId shard = scattered_.Finish(index);
    for (const size_t segment : bucket.segments) builder_.program().segments[segment].gradient = builder_.tensor(shard).storage;
    return shard;
  }
  HELM_CHECK(missing_[index] == 0, "every gradient was written");
  const auto reduction = reductions_.find(index);
  return reduction != reductions_.end() ? builder_.Wait(reduction->second) : Flat(index);
}

std::vector<TensorId> Gradients::Finish() {
  for (size_t index = 0; index < plan_.buckets.size() && !options_.reduce_overlap; ++index) {
    if (!plan_.buckets[index].scattered && !plan_.buckets[index].frozen) Reduce(index);
  }
  std::vector<TensorId> result;
  for (size_t index = 0; index < plan_.buckets.size(); ++index) {
    const Bucket& bucket = plan_.buckets[index];
    if (bucket.frozen) {
      result.emplace_back();
      continue;
    }
    builder_.Label(fmt::format("gradients.{}", bucket.name));
    TensorId flat = EndReduction(index);
    if (bucket.share == Share::kPartial) flat = builder_.Wait(builder_.AllReduce(flat, groups_.tensor));
    if (bucket.tied) flat = builder_.Wait(builder_.AllReduce(flat, groups_.embedding));
    result.push_back(flat);
  }
  return result;
}

}  // namespace helm::model
