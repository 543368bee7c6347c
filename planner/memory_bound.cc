#include "planner/memory_bound.h"

#include <algorithm>

#include "ir/sharding.h"
#include "model/chunks.h"
#include "model/lora.h"
#include "model/parameter_plan.h"

namespace helm::planner {
namespace {

// Adam: parameter + gradient and two moments in fp32 or the compute dtype, and an fp32 master copy where the parameter is narrower
// (techniques.md 4.4). ZeRO-1 shares moments and master copy, which it then keeps in fp32 too, among the data-parallel ranks; ZeRO-2 keeps
// no gradients beyond those that backward has just made; sharded parameters are fp32 and their own master copy. Bytes of `parameters` of
// them, shared by `shards`.
int64_t ResidentBytes(int64_t parameters, int64_t shards, ir::DataType dtype, const ir::Software& software, const ir::Strategy& strategy) {
  model::Sharding sharding = model::ShardingOf(strategy);
  if (shards == 1) sharding = {};
  const auto bytes_of = [dtype](ir::Precision precision) { return precision == ir::Precision::kCompute ? ir::ElementBytes(dtype) : 4; };
  const int64_t moment = bytes_of(software.optimizer_state);
  if (sharding.parameters) return parameters * ((software.main_parameters ? 4 : moment) + 2 * moment) / shards;
  const bool copies = sharding.optimizer_state || (software.main_parameters && dtype != ir::DataType::kFloat32);
  const int64_t state = parameters * (2 * moment + (copies ? 4 : 0));
  const int64_t gradient = sharding.gradients ? 0 : bytes_of(software.gradients);
  return parameters * (ir::ElementBytes(dtype) + gradient) + (sharding.optimizer_state ? state / shards : state);
}

// Of parameters that are frozen there is nothing but themselves, in the compute dtype.
int64_t FrozenBytes(int64_t parameters, int64_t shards, ir::DataType dtype, const ir::Strategy& strategy) {
  const int64_t bytes = parameters * ir::ElementBytes(dtype);
  return model::ShardingOf(strategy).parameters ? bytes / shards : bytes;
}

// Micro-batches whose activations the stages hold at once, summed, in a schedule of the user's own: the most forwards of chunks whose
// backward has not begun.
int64_t HeldByRows(const std::vector<ir::Schedule>& rows, int64_t chunks_of_stage) {
  int64_t sum = 0;
  for (const ir::Schedule& row : rows) {
    int64_t held = 0, most = 0;
    for (const ir::Action& action : row) {
      if (action.kind == ir::ActionKind::kForward) most = std::max(most, ++held);
      if (action.kind == ir::ActionKind::kFullBackward || action.kind == ir::ActionKind::kInputGradient) --held;
    }
    sum += most;
  }
  return sum / chunks_of_stage;
}

// Micro-batches whose activations stage r holds at once, summed over the stages: all of them in gpipe, at least min(m, p - r) where chunks
// follow each other up the stages. In a V the first micro-batch has passed all chunks before the first backward.
int64_t MicroBatchesHeld(const ir::Workload& workload, const ir::Strategy& strategy) {
  if (strategy.pipeline == 1) return 1;
  if (strategy.schedule == "csv") return HeldByRows(strategy.schedule_rows, strategy.virtual_pipeline);
  if (model::IsFolded(strategy)) return strategy.pipeline;
  int64_t held = 0;
  for (int64_t r = 0; r < strategy.pipeline; ++r) held += MicroBatchesHeldBy(workload, strategy, r);
  return held;
}

// Layers times micro-batches whose inputs a stage holds, the mean of the stages, rounded down. Of stages that hold different numbers of
// layers, and those that have several chunks, each holds one micro-batch at least.
int64_t LayerInputsHeld(const model::ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy, StagesTaken stages) {
  if (stages == StagesTaken::kAsGiven && strategy.stages.empty()) {
    return model.layers / strategy.pipeline * MicroBatchesHeld(workload, strategy) / strategy.pipeline;
  }
  if (stages == StagesTaken::kAny || strategy.virtual_pipeline > 1 || strategy.schedule == "csv") return model.layers / strategy.pipeline;
  int64_t held = 0;
  for (int64_t r = 0; r < strategy.pipeline; ++r) {
    held += strategy.stages[static_cast<size_t>(r)].layers() * MicroBatchesHeldBy(workload, strategy, r);
  }
  return held / strategy.pipeline;
}

}  // namespace

int64_t MicroBatchesHeldBy(const ir::Workload& workload, const ir::Strategy& strategy, int64_t stage) {
  const int64_t micro_batches = MicroBatches(workload, strategy);
  return strategy.schedule == "gpipe" ? micro_batches : std::min(micro_batches, strategy.pipeline - stage);
}

// The rank with the most holds at least the mean over the stages: its share of all parameters (norms and biases are not even split),
// rounded down.
Bytes StateLowerBound(const model::ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                      const ir::Strategy& strategy) {
  const int64_t routed = model::RoutedParameterCount(model);
  const int64_t trained = model::TrainedParameterCount(model) - (model.lora.rank > 0 ? 0 : routed);
  const int64_t frozen = (model::ParameterCount(model) - routed - trained) / (strategy.tensor * strategy.pipeline);
  const int64_t common = trained / (strategy.tensor * strategy.pipeline);
  const int64_t experts = routed / (strategy.expert * strategy.expert_tensor * strategy.pipeline);
  return ResidentLowerBound(common, experts, workload, software, strategy) +
         Bytes(FrozenBytes(frozen, DataShards(strategy), workload.dtype, strategy));
}

Bytes ResidentLowerBound(int64_t common, int64_t routed, const ir::Workload& workload, const ir::Software& software,
                         const ir::Strategy& strategy) {
  const auto resident_of = [&](int64_t parameters, int64_t shared_by) {
    return ResidentBytes(parameters, shared_by, workload.dtype, software, strategy);
  };
  return Bytes(resident_of(common, DataShards(strategy)) + resident_of(routed, ExpertShards(strategy)));
}

// And for every micro-batch under way the inputs of its layers, which backward needs: a row per token, split over the tensor group at most.
Bytes MemoryLowerBound(const model::ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                       const ir::Strategy& strategy, StagesTaken stages) {
  const int64_t tokens = strategy.micro_batch * workload.sequence_length / strategy.context;
  const int64_t row_bytes = model.hidden * ir::ElementBytes(workload.dtype);
  int64_t layer_inputs = LayerInputsHeld(model, workload, strategy, stages);
  // Beside adapters the first layer's input is frozen: backward may read nothing of it.
  if (model.lora.rank > 0) layer_inputs = std::max<int64_t>(0, model.layers / strategy.pipeline - 1);
  return StateLowerBound(model, workload, software, strategy) + Bytes(layer_inputs * (tokens / strategy.tensor) * row_bytes);
}

}  // namespace helm::planner
