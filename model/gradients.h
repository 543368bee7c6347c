// Gradients: the parameter and gradient tensors of a program, and the order in which gradients are written and reduced.
//
// The first micro-batch overwrites a gradient (nothing has to be zeroed), later ones add to it. In the last micro-batch a bucket whose last
// gradient has just been written starts its all-reduce over the data-parallel group; Finish waits for all of them. Gradients are fp32.
// Invariant: Weight(i) stays valid until the optimizer writes the flat segments.
#pragma once

#include <map>
#include <vector>

#include "model/parameter_plan.h"
#include "model/program_builder.h"

namespace helm::model {

class Gradients {
 public:
  // Adds storages, segments and tensors to the program.
  Gradients(ProgramBuilder& builder, const ParameterPlan& plan, ir::DataType dtype, ir::GroupId tensor_group, ir::GroupId data_group);

  ir::TensorId Weight(ParameterIndex index) const { return weights_[static_cast<size_t>(index)]; }

  void BeginMicroBatch(bool first, bool last) {
    first_ = first;
    last_ = last;
  }

  // gradient (+)= output_gradient^T x input, or the column sums of value, or value itself. `final` is false for all but the last of several
  // writes in one micro-batch (tied embeddings), `fresh` is true for the first of them.
  struct Turn {
    bool fresh = true;
    bool final = true;
  };
  void WriteProduct(ParameterIndex index, ir::TensorId output_gradient, ir::TensorId input, Turn turn);
  void WriteSum(ParameterIndex index, ir::TensorId value);
  void WriteValue(ParameterIndex index, ir::TensorId value, Turn turn);

  // Waits for the reductions; leaves each bucket as one flat tensor.
  std::vector<ir::TensorId> Finish();
  // Persistent flat tensors of a segment, as the optimizer sees them.
  struct SegmentTensors {
    ir::TensorId parameter, master, moment_first, moment_second;
  };
  const SegmentTensors& Segment(size_t segment) const { return segments_[segment]; }

 private:
  void AddBucket(const Bucket& bucket, ir::DataType dtype);
  void AddParameters(const Bucket& bucket, ir::DataType dtype);
  bool Overwrite(Turn turn) const { return first_ && turn.fresh; }
  ir::TensorId Target(ParameterIndex index);
  void Written(ParameterIndex index, ir::TensorId version, Turn turn);
  ir::TensorId Flat(size_t bucket);

  ProgramBuilder& builder_;
  const ParameterPlan& plan_;
  ir::GroupId tensor_group_;
  ir::GroupId data_group_;
  std::vector<ir::TensorId> weights_;         // by parameter
  std::vector<ir::TensorId> gradients_;       // by parameter: newest version
  std::vector<ir::TensorId> bucket_tensors_;  // by bucket: newest version of anything on its storage
  std::vector<size_t> missing_;               // by bucket: gradients not yet complete in the last micro-batch
  std::map<size_t, Pending> reductions_;      // by bucket
  std::vector<SegmentTensors> segments_;
  bool first_ = true;
  bool last_ = true;
};

}  // namespace helm::model
