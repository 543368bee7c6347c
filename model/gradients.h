// Gradients: the parameter and gradient tensors of a program, and the order in which gradients are written and reduced.
//
// The first write of a step overwrites a gradient (nothing has to be zeroed), later ones add to it, in whatever order the schedule runs
// the micro-batches. A bucket whose last gradient has just been written for the last time starts its reduction over the data-parallel
// group: an all-reduce, or with ZeRO a reduce-scatter, after which a rank holds the sum of its shard alone. Finish waits for all of them.
// Gradients are fp32 or as narrow as what computes. From ZeRO-2 on a bucket's gradients live only until they are scattered
// (model/scattered_gradients.h); where parameters are sharded too, weights are those that were gathered last (model/gathered_parameters.h).
// Parameters that are frozen have none of all this: they are weights alone.
// Invariant: Weight(i) stays valid until the optimizer writes the flat segments, or the parameter is dropped.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "model/gathered_parameters.h"
#include "model/parameter_plan.h"
#include "model/program_builder.h"
#include "model/scattered_gradients.h"

namespace helm::model {

// The groups that gradients are reduced over.
struct GradientGroups {
  ir::GroupId tensor, data;
  ir::GroupId embedding;  // first and last stage, which hold tied embeddings; none where one rank holds both
  ir::GroupId copies;     // data-parallel ranks with the same shards (HSDP); none where there is one copy
  ir::GroupId experts;    // that hold the same experts; none where all do
};

struct GradientOptions {
  ir::DataType dtype = ir::DataType::kFloat32;  // of compute
  int64_t micro_batches = 1;                    // backward passes that complete every gradient
  ir::DataType kept = ir::DataType::kFloat32;   // in which gradients that are not scattered are kept, added up and reduced
  bool fused_products = false;                  // the product of a weight gradient adds to what is kept in the same kernel
  bool bucket_copies = false;                   // what is reduced and not scattered is a tensor of its own, of `dtype`
  bool reduce_overlap = true;                   // a bucket is reduced as soon as it is complete; false: in Finish
  // Of gradients that are scattered: whether only the last pass reduces, and in which type.
  bool reduce_last_only = false;
  ir::DataType reduced = ir::DataType::kFloat32;
  double divisor = 1;                             // ... and by what they are divided for it
  ir::DataType moments = ir::DataType::kFloat32;  // of the optimizer; with no main parameters also that of parameters that are sharded
  bool main_parameters = true;                    // fp32 copies of parameters that compute in a narrower type
  bool gather_copied = false;                     // of parameters that are gathered: copied out of the gathered tensor
};

class Gradients {
 public:
  // Adds storages, segments and tensors to the program.
  Gradients(ProgramBuilder& builder, const ParameterPlan& plan, const GradientGroups& groups, const GradientOptions& options);

  ir::TensorId Weight(ParameterIndex index);
  bool Frozen(ParameterIndex index) const { return plan_.parameters[static_cast<size_t>(index)].frozen; }
  GatheredParameters& gathered() { return gathered_; }

  // The ranks that share the gradients of a bucket: the data-parallel ones, or those with the same experts.
  ir::GroupId GroupOf(const Bucket& bucket) const { return bucket.experts ? groups_.experts : groups_.data; }

  // Of parameters that are trained: gradient (+)= output_gradient^T x input (of each expert where there is a third dimension), or the
  // column sums of value, or value itself.
  void WriteProduct(ParameterIndex index, ir::TensorId output_gradient, ir::TensorId input);
  // The same with a product of another kind, which `product` writes and returns (8-bit operands, with their scales).
  void WriteProduct(ParameterIndex index, const std::function<ir::TensorId()>& product);
  void WriteSum(ParameterIndex index, ir::TensorId value);
  void WriteValue(ParameterIndex index, ir::TensorId value);

  // As if it had been written once more: of a layer that an excerpt leaves out.
  void Skip(ParameterIndex index);

  // Begins the reductions of what has become complete and is to be scattered.
  void ReduceComplete() { scattered_.ReduceComplete(); }
  // Waits for the reductions; leaves each bucket as one flat tensor: all of it, or this rank's shard; of a frozen one none.
  std::vector<ir::TensorId> Finish();
  // Persistent flat tensors of a segment, as the optimizer sees them: `parameter` whole, or equal to `master`; the others whole or this
  // rank's shard.
  struct SegmentTensors {
    ir::TensorId parameter, master, moment_first, moment_second;
  };
  const SegmentTensors& Segment(size_t segment) const { return segments_[segment]; }

 private:
  void AddBucket(size_t bucket);
  void AddSegment(const Bucket& bucket, ir::ParameterSegment& segment, ir::StorageId gradient);
  void AddParameters(const Bucket& bucket);
  bool Scattered(ParameterIndex index) const { return plan_.buckets[plan_.bucket_of[static_cast<size_t>(index)]].scattered; }
  bool Overwrite(ParameterIndex index) const { return written_[static_cast<size_t>(index)] == 0; }
  ir::TensorId Target(ParameterIndex index);
  void Written(ParameterIndex index, ir::TensorId version);
  void AddProduct(ParameterIndex index, ir::TensorId left, ir::TensorId right);
  void Reduce(size_t bucket);
  ir::TensorId Flat(size_t bucket);
  ir::TensorId EndReduction(size_t bucket);

  ProgramBuilder& builder_;
  const ParameterPlan& plan_;
  const GradientGroups groups_;
  const GradientOptions options_;
  GatheredParameters gathered_;
  ScatteredGradients scattered_;
  std::vector<ir::TensorId> weights_;         // by parameter
  std::vector<ir::TensorId> gradients_;       // by parameter: newest version
  std::vector<int64_t> written_;              // by parameter: how often in this step
  std::vector<ir::TensorId> bucket_tensors_;  // by bucket: newest version of anything on its storage
  std::vector<size_t> missing_;               // by bucket: gradients that are not complete
  std::map<size_t, Pending> reductions_;      // by bucket
  std::vector<SegmentTensors> segments_;
};

}  // namespace helm::model
