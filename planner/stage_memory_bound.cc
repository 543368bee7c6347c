#include "planner/stage_memory_bound.h"

#include <algorithm>

#include "cluster/device_groups.h"
#include "model/chunks.h"
#include "model/parameter_plan.h"
#include "model/recompute.h"
#include "planner/memory_bound.h"
#include "schedule/pipeline_schedule.h"

namespace helm::planner {
namespace {

bool PartsTell(const config::RunConfig& config, const ir::Strategy& strategy) {
  const bool single_ops = strategy.recompute == "custom" && !strategy.recompute_ops.empty();
  return strategy.overlap == "none" && !single_ops && config.model.lora.rank == 0 && strategy.schedule != "csv" &&
         !cluster::HasGroups(config.cluster) && config.workload.kind == "training";
}

ir::Strategy WithRecompute(ir::Strategy strategy, const char* recompute) {
  strategy.recompute = recompute;
  strategy.recompute_layers = 0;
  return strategy;
}

// The chunks of each stage in the order of their numbers, as model::ChunksOfStage has them.
std::vector<std::vector<int64_t>> ChunksByStage(const ir::Strategy& strategy) {
  std::vector<std::vector<int64_t>> chunks(static_cast<size_t>(strategy.pipeline));
  const std::vector<int64_t> stage_of = schedule::StagesOfChunks(strategy);
  for (size_t chunk = 0; chunk < stage_of.size(); ++chunk) {
    chunks[static_cast<size_t>(stage_of[chunk])].push_back(static_cast<int64_t>(chunk));
  }
  return chunks;
}

std::vector<int64_t> MostHeld(const ir::Schedule& row, const std::vector<int64_t>& chunks) {
  std::vector<int64_t> held(chunks.size()), most = held;
  int64_t now = 0, best = 0;
  for (const ir::Action& action : row) {
    const auto place = static_cast<size_t>(std::ranges::find(chunks, action.stage) - chunks.begin());
    if (action.kind == ir::ActionKind::kForward) {
      ++held[place];
      if (++now > best) {
        best = now;
        most = held;
      }
    } else if (action.kind == ir::ActionKind::kFullBackward || action.kind == ir::ActionKind::kInputGradient) {
      --held[place];
      --now;
    }
  }
  return most;
}

// What a chunk keeps of a micro-batch, with layers computed again and without.
struct KeptByParts {
  const PartTimes* plain = nullptr;  // of layers that are not computed again
  const PartTimes* again = nullptr;  // of those that are

  int64_t OfChunk(const model::ModelSpec& model, const ir::Strategy& strategy, const model::Chunk& chunk) const {
    const int64_t recomputed = model::RecomputedLayers(strategy, chunk.layer_end - chunk.layer_begin);
    int64_t kept = 0;
    for (int64_t layer = chunk.layer_begin; layer < chunk.layer_end; ++layer) {
      const PartTimes& of = layer - chunk.layer_begin < recomputed ? *again : *plain;
      kept += of.kept_of_layer[model::HasExperts(model, layer) ? 1 : 0];
    }
    return chunk.head && chunk.loss ? kept + plain->kept_of_head : kept;
  }

  // When the chunk's last layer is computed again, and what it keeps is needed beside all else but the head's and its own output.
  int64_t MoreAtLast(const model::ModelSpec& model, const ir::Strategy& strategy, const model::Chunk& chunk) const {
    const int64_t layers = chunk.layer_end - chunk.layer_begin;
    if (layers == 0 || model::RecomputedLayers(strategy, layers) < layers) return 0;
    const size_t kind = model::HasExperts(model, chunk.layer_end - 1) ? 1 : 0;
    const int64_t head = chunk.head && chunk.loss ? plain->kept_of_head : 0;
    return plain->kept_of_layer[kind] - 2 * again->kept_of_layer[kind] - head;
  }
};

}  // namespace

ir::Strategy WithRecomputedLayers(ir::Strategy strategy, int64_t layers) {
  strategy.recompute = "custom";
  strategy.recompute_ops.clear();
  strategy.recompute_layers = layers;
  return strategy;
}

StageMemoryBounds::StageMemoryBounds(const config::RunConfig& config, PartBook& parts) : config_(config), parts_(parts) {
  model::ModelSpec model = config.model;
  model.mtp_layers = 0;
  model.layers = 0;
  const int64_t around = model::ParameterCount(model);  // embedding, positions, final norm and head
  for (; model.layers <= config.model.layers; ++model.layers) {
    const int64_t routed = model::RoutedParameterCount(model);
    common_before_.push_back(model::ParameterCount(model) - routed - around);
    routed_before_.push_back(routed);
  }
}

const StageMemoryBounds::Held& StageMemoryBounds::HeldBy(const ir::Strategy& strategy) {
  const int64_t micro_batches = MicroBatches(config_.workload, strategy);
  const auto [known, is_new] = held_.try_emplace({strategy.schedule, strategy.pipeline, strategy.virtual_pipeline, micro_batches});
  if (!is_new) return known->second;
  const auto rows = schedule::PipelineSchedules(strategy, micro_batches);
  const std::vector<std::vector<int64_t>> chunks = ChunksByStage(strategy);
  for (size_t stage = 0; stage < chunks.size(); ++stage) {
    known->second.push_back(rows.ok() ? MostHeld((*rows)[stage], chunks[stage]) : std::vector<int64_t>(chunks[stage].size()));
  }
  return known->second;
}

// Of the layers of the stage, and embedding or head; on one rank of the tensor group, rounded down.
StageMemoryBounds::Parameters StageMemoryBounds::ParametersOf(const ir::Strategy& strategy, int64_t stage) const {
  int64_t common = 0, routed = 0;
  for (const model::Chunk& chunk : model::ChunksOfStage(config_.model, strategy, stage)) {
    const auto first = static_cast<size_t>(chunk.layer_begin), end = static_cast<size_t>(chunk.layer_end);
    common += common_before_[end] - common_before_[first];
    routed += routed_before_[end] - routed_before_[first];
    const bool shares = config_.model.tied_embeddings;  // one table where both are on one stage
    common += ((chunk.embedding ? 1 : 0) + (chunk.head && !shares ? 1 : 0)) * config_.model.vocab * config_.model.hidden;
  }
  return {common / strategy.tensor, routed / (strategy.expert * strategy.expert_tensor)};
}

// Where gradients are sharded, in a pipeline or with fsdp_no_sync they are whole until the last micro-batch reduces them (model/lower.cc).
// By 1F1B as many micro-batches are held beside them as before the first backward pass, where there are more than that.
int64_t StageMemoryBounds::WholeGradientsBeside(const ir::Strategy& strategy, int64_t stage, const Parameters& parameters) const {
  const bool whole = model::ShardingOf(strategy).gradients && (strategy.pipeline > 1 || config_.software.fsdp_no_sync);
  const bool again = strategy.schedule == "1f1b" && MicroBatches(config_.workload, strategy) > strategy.pipeline - stage;
  return whole && again ? (parameters.common + parameters.routed) * ir::ElementBytes(config_.workload.dtype) : 0;
}

Result<Bytes> StageMemoryBounds::Of(const ir::Strategy& strategy, const Cancellation& cancellation) {
  const Bytes least = MemoryLowerBound(config_.model, config_.workload, config_.software, strategy);
  if (!PartsTell(config_, strategy)) return least;
  const bool whole_layers = strategy.recompute == "full" || strategy.recompute == "custom";
  KeptByParts kept;
  HELM_ASSIGN_OR_RETURN(kept.plain, parts_.Of(whole_layers ? WithRecompute(strategy, "none") : strategy, cancellation));
  HELM_ASSIGN_OR_RETURN(kept.again, parts_.Of(whole_layers ? WithRecompute(strategy, "full") : strategy, cancellation));
  const Held& held = HeldBy(strategy);
  int64_t most = least.count();
  for (int64_t stage = 0; stage < strategy.pipeline; ++stage) {
    const Parameters parameters = ParametersOf(strategy, stage);
    int64_t of_stage = ResidentLowerBound(parameters.common, parameters.routed, config_.workload, config_.software, strategy).count();
    of_stage += WholeGradientsBeside(strategy, stage, parameters);
    std::optional<int64_t> more;
    const std::vector<model::Chunk> chunks = model::ChunksOfStage(config_.model, strategy, stage);
    for (size_t chunk = 0; chunk < chunks.size(); ++chunk) {
      of_stage += held[static_cast<size_t>(stage)][chunk] * kept.OfChunk(config_.model, strategy, chunks[chunk]);
      const int64_t at_last = whole_layers ? kept.MoreAtLast(config_.model, strategy, chunks[chunk]) : 0;
      more = std::min(more.value_or(at_last), at_last);  // whichever goes backward
    }
    most = std::max(most, of_stage + std::max<int64_t>(0, more.value_or(0)));
  }
  return Bytes(most);
}

Result<std::optional<int64_t>> StageMemoryBounds::FewestRecomputed(const ir::Strategy& strategy, Bytes capacity,
                                                                   const Cancellation& cancellation) {
  HELM_ASSIGN_OR_RETURN(const Bytes all, Of(WithRecompute(strategy, "full"), cancellation));
  if (all > capacity) return std::optional<int64_t>();
  int64_t low = 0, high = 1;
  for (const model::Chunk& chunk : model::ChunksOf(config_.model, strategy)) high = std::max(high, chunk.layer_end - chunk.layer_begin);
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    HELM_ASSIGN_OR_RETURN(const Bytes some, Of(WithRecomputedLayers(strategy, middle), cancellation));
    (some > capacity ? low : high) = middle;
  }
  return std::optional<int64_t>(high);
}

}  // namespace helm::planner
