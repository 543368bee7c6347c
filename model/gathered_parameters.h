// GatheredParameters: the tensors of parameters that lie sharded over the data-parallel ranks (ZeRO-3, FSDP) and exist whole only from a
// gather to their last use.
//
// Not when to gather (model/unit_gathers.h). A bucket's shard, which the optimizer updates in fp32, is cast to the compute type and
// gathered into a tensor of its own; its parameters are views of that, or of a copy of it (`copied`, as FSDP2 does). Nothing frees it: it
// dies after its last use, as every tensor of a program (ir/lifetime.h). Internal to model/.
//
// Invariant: a weight is asked for only between Finish and Drop of its bucket.
#pragma once

#include <optional>
#include <vector>

#include "model/parameter_plan.h"
#include "model/program_builder.h"

namespace helm::model {

class GatheredParameters {
 public:
  // `group`: the ranks that the shards are spread over.
  GatheredParameters(ProgramBuilder& builder, const ParameterPlan& plan, ir::DataType dtype, ir::GroupId group, bool copied);

  // The fp32 shard of a bucket. Called once for each bucket that is gathered.
  void SetShard(size_t bucket, ir::TensorId shard) { units_[bucket].shard = shard; }

  void Start(size_t bucket);   // begins to gather; nothing when that has begun
  void Finish(size_t bucket);  // waits for it, begins it before when need be
  void Drop(size_t bucket);    // the next use gathers again
  ir::TensorId Weight(ParameterIndex index);

 private:
  struct Unit {
    ir::TensorId shard;
    std::optional<Pending> pending;
    ir::TensorId whole;  // once it has arrived
    ir::TensorId copy;   // what the weights are views of, from their first use on: the whole, or a copy
  };

  ProgramBuilder& builder_;
  const ParameterPlan& plan_;
  const ir::DataType dtype_;
  const ir::GroupId group_;
  const bool copied_;
  std::vector<Unit> units_;          // by bucket
  std::vector<ir::TensorId> views_;  // by parameter: of the whole, made at the first use
};

}  // namespace helm::model
