// ScatteredGradients: gradients that are reduced into shards as soon as a bucket of them is complete (ZeRO-2, ZeRO-3, FSDP), and the order
// of those reductions.
//
// A gradient is the tensor that its backward op makes, in the compute type, as autograd's. When all of a bucket are complete they are
// joined into one flat tensor, cast to the type of the reduction, reduce-scattered, and dropped; the shard, fp32, is added to that of
// the micro-batches before. With several copies of the shards (HSDP) it is first summed over those. A reduction is waited for when the next
// ones begin (as PyTorch's FSDP2, so that few flat tensors are in flight), or by Finish. Internal to model/.
//
// `passes`: micro-batches whose gradients are added up, whole and in the type of the reduction, before a reduction.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "model/parameter_plan.h"
#include "model/program_builder.h"

namespace helm::model {

class ScatteredGradients {
 public:
  struct Options {
    int64_t passes = 1;
    ir::DataType reduced = ir::DataType::kFloat32;
    double divisor = 1;  // gradients are divided by it before a reduction and multiplied behind it
  };
  // `shards`: the ranks that the shards are spread over; `copies`: those that hold the same shard, none where there is one copy.
  ScatteredGradients(ProgramBuilder& builder, const ParameterPlan& plan, ir::GroupId shards, ir::GroupId copies, Options options);

  // Adds to the gradient. `value` is of the parameter's size, and nobody else's: later values are added in place.
  void Add(ParameterIndex index, ir::TensorId value);
  // As if it had been added to: of a layer that an excerpt leaves out (model/layer_excerpt.h). What that layer would have left for others
  // to read is a tensor that nothing in the program makes.
  void Skip(ParameterIndex index);
  // Begins the reductions of the buckets that have become complete.
  void ReduceComplete();
  // Ends the reductions of a bucket: this rank's shard of its gradients, fp32. REQUIRES: all were reduced.
  ir::TensorId Finish(size_t bucket);

 private:
  struct Scatter {
    size_t bucket = 0;
    Pending pending;
  };

  // One more of its gradients was written. True when that completes the bucket.
  bool Count(ParameterIndex index);
  ir::TensorId LeftOut(ir::Shape shape, ir::DataType dtype, ir::StorageRole role);
  ir::TensorId SumLeftOut(const Bucket& bucket);
  void FillLeftOut(const Bucket& bucket);
  void Reset(size_t bucket);
  ir::TensorId Flat(const Bucket& bucket);
  void Reduce(size_t bucket);
  void EndScatters();
  void EndOverCopies(size_t bucket);
  void AddShard(size_t bucket, ir::TensorId shard);

  ProgramBuilder& builder_;
  const ParameterPlan& plan_;
  const ir::GroupId shards_, copies_;
  const Options options_;
  std::vector<ir::TensorId> gradients_;              // by parameter: whole, of this pass or these passes
  std::vector<int64_t> written_;                     // by parameter
  std::vector<size_t> missing_;                      // by bucket: gradients that are not complete
  std::deque<size_t> complete_;                      // buckets to be reduced
  std::vector<Scatter> scattering_;                  // under way
  std::vector<std::optional<Pending>> over_copies_;  // by bucket
  std::vector<ir::TensorId> sums_;                   // by bucket: the shard
  std::vector<bool> skipped_;                        // by parameter: a layer that is left out has written it
  int64_t left_out_ = 0;                             // tensors that nothing makes
};

}  // namespace helm::model
