// Gradients: the parameter and gradient tensors of a program, and the order in which gradients are written and reduced.
//
// The first write of a step overwrites a gradient (nothing has to be zeroed), later ones add to it, in whatever order the schedule runs
// the micro-batches. A bucket whose last gradient has just been written for the last time starts its reduction over the data-parallel
// group: an all-reduce, or with ZeRO a reduce-scatter, after which a rank holds the sum of its shard alone. Finish waits for all of them.
// Gradients are fp32. Invariant: Weight(i) stays valid until the optimizer writes the flat segments.
#pragma once

#include <map>
#include <vector>

#include "model/parameter_plan.h"
#include "model/program_builder.h"

namespace helm::model {

// The groups that gradients are reduced over.
struct GradientGroups {
  ir::GroupId tensor, data;
  ir::GroupId embedding;  // first and last stage, which hold tied embeddings; none where one rank holds both
};

class Gradients {
 public:
  // Adds storages, segments and tensors to the program. Every gradient is completed by `micro_batches` backward passes.
  Gradients(ProgramBuilder& builder, const ParameterPlan& plan, ir::DataType dtype, int64_t micro_batches, const GradientGroups& groups);

  ir::TensorId Weight(ParameterIndex index) const { return weights_[static_cast<size_t>(index)]; }

  // gradient (+)= output_gradient^T x input, or the column sums of value, or value itself.
  void WriteProduct(ParameterIndex index, ir::TensorId output_gradient, ir::TensorId input);
  void WriteSum(ParameterIndex index, ir::TensorId value);
  void WriteValue(ParameterIndex index, ir::TensorId value);

  // As if it had been written once more: of a layer that an excerpt leaves out.
  void Skip(ParameterIndex index) { Written(index, Target(index)); }

  // Waits for the reductions; leaves each bucket as one flat tensor: all of it, or this rank's shard.
  std::vector<ir::TensorId> Finish();
  // Persistent flat tensors of a segment, as the optimizer sees them: `parameter` whole, the others whole or this rank's shard.
  struct SegmentTensors {
    ir::TensorId parameter, master, moment_first, moment_second;
  };
  const SegmentTensors& Segment(size_t segment) const { return segments_[segment]; }

 private:
  void AddBucket(const Bucket& bucket, ir::DataType dtype);
  void AddParameters(const Bucket& bucket, ir::DataType dtype);
  bool Overwrite(ParameterIndex index) const { return written_[static_cast<size_t>(index)] == 0; }
  ir::TensorId Target(ParameterIndex index);
  void Written(ParameterIndex index, ir::TensorId version);
  void Reduce(size_t bucket);
  ir::TensorId Flat(size_t bucket);

  ProgramBuilder& builder_;
  const ParameterPlan& plan_;
  const int64_t micro_batches_;
  const GradientGroups groups_;
  std::vector<ir::TensorId> weights_;         // by parameter
  std::vector<ir::TensorId> gradients_;       // by parameter: newest version
  std::vector<int64_t> written_;              // by parameter: how often in this step
  std::vector<ir::TensorId> bucket_tensors_;  // by bucket: newest version of anything on its storage
  std::vector<size_t> missing_;               // by bucket: gradients that are not complete
  std::map<size_t, Pending> reductions_;      // by bucket
  std::vector<SegmentTensors> segments_;
};

}  // namespace helm::model
