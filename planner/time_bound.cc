#include "planner/time_bound.h"

#include <algorithm>
#include <vector>

#include "model/chunks.h"
#include "model/recompute.h"
#include "planner/stage_times.h"

namespace helm::planner {
namespace {

// `again`: of the first `recomputed` layers.
Part PartOf(const model::ModelSpec& model, const model::Chunk& chunk, const PartTimes& times, const PartTimes& again, int64_t recomputed) {
  Part part;
  for (int64_t layer = chunk.layer_begin; layer < chunk.layer_end; ++layer) {
    const PartTimes& of = layer - chunk.layer_begin < recomputed ? again : times;
    part += of.layer[model::HasExperts(model, layer) ? 1 : 0];
  }
  if (chunk.embedding) part += times.embedding;
  if (chunk.head && chunk.loss) part += times.head;
  return part;
}

// Of all micro-batches: the first and the last may take less than the others.
ResourceTimes OfAll(const PassTimes& pass, int64_t micro_batches) {
  const int64_t inner = std::max<int64_t>(0, micro_batches - 2), others = micro_batches - inner;
  const auto sum = [&](int64_t a, int64_t b) { return inner * a + others * b; };
  return {sum(pass.inner.compute, pass.any.compute), sum(pass.inner.host, pass.any.host), sum(pass.inner.busy, pass.any.busy),
          sum(pass.inner.gathering, pass.any.gathering), sum(pass.inner.scattering, pass.any.scattering)};
}

// What does not come with every layer of every micro-batch.
void AddOnce(const model::ModelSpec& model, const model::Chunk& chunk, const PartTimes& times, int64_t micro_batches,
             ResourceTimes& of_stage) {
  for (int64_t layer = chunk.layer_begin; layer < chunk.layer_end; ++layer) {
    const size_t kind = model::HasExperts(model, layer) ? 1 : 0;
    of_stage.scattering += times.scattered_once[kind];
    if (layer + 1 == model.layers) of_stage.gathering -= micro_batches * times.kept_of_last[kind];
  }
}

// Whether each stage's last action is the backward pass of its first chunk.
bool EndsWithBackward(const ir::Strategy& strategy) {
  const std::string& schedule = strategy.schedule;
  return schedule == "none" || schedule == "1f1b" || schedule == "gpipe" || schedule == "interleaved-1f1b";
}

struct PartsOfStages {
  StageTimes plain;
  StageTimes again;  // of layers that are computed again; the same as of the others but where only some are, and all of each
};

// Of these data-parallel ranks alone.
Result<PartsOfStages> PartsOfShare(const config::RunConfig& config, const ir::Strategy& strategy, int64_t data_first, int64_t data_end,
                                   PartBook& parts, const Cancellation& cancellation) {
  HELM_ASSIGN_OR_RETURN(const StageTimes plain, TimesOfShare(config, strategy, data_first, data_end, parts, cancellation));
  if (strategy.recompute != "custom" || !strategy.recompute_ops.empty()) return PartsOfStages{plain, plain};
  ir::Strategy full = strategy;
  full.recompute = "full";
  full.recompute_layers = 0;
  HELM_ASSIGN_OR_RETURN(const StageTimes again, TimesOfShare(config, full, data_first, data_end, parts, cancellation));
  return PartsOfStages{plain, again};
}

// Of data-parallel ranks whose stages take these times, with so many micro-batches each.
TimeBound BoundOf(const config::RunConfig& config, const ir::Strategy& strategy, const PartsOfStages& times, int64_t micro_batches) {
  std::vector<Part> chunks;
  std::vector<ResourceTimes> work(static_cast<size_t>(strategy.pipeline));
  for (const model::Chunk& chunk : model::ChunksOf(config.model, strategy)) {
    const auto stage = static_cast<size_t>(model::StageOfChunk(strategy, chunk.index));
    const Part& part = chunks.emplace_back(PartOf(config.model, chunk, *times.plain[stage], *times.again[stage],
                                                  model::RecomputedLayers(strategy, chunk.layer_end - chunk.layer_begin)));
    ResourceTimes& of_stage = work[stage];
    of_stage += OfAll(part.forward, micro_batches);
    of_stage += OfAll(part.backward, micro_batches);
    AddOnce(config.model, chunk, *times.plain[stage], micro_batches, of_stage);
  }
  int64_t step = 0, computing = 0;
  ResourceTimes around;  // on the way to the stage's first chunk, and back
  for (size_t stage = 0; stage < work.size(); ++stage) {
    const ResourceTimes& of_stage = work[stage];
    step = std::max({step, around.compute + of_stage.compute, of_stage.host, of_stage.gathering + of_stage.scattering});
    computing = std::max({computing, around.busy + of_stage.busy, of_stage.gathering});
    around += chunks[stage].forward.any;
    if (EndsWithBackward(strategy)) around += chunks[stage].backward.any;
  }
  // Passes put the waits elsewhere, at times where less is waited for than by the lowering.
  if (strategy.overlap != "none") step = computing;
  return TimeBound{Duration::Picoseconds(step), Duration::Picoseconds(computing)};
}

}  // namespace

Result<TimeBound> TimeLowerBound(const config::RunConfig& config, const ir::Strategy& strategy, PartBook& parts,
                                 const Cancellation& cancellation) {
  TimeBound longest;
  int64_t data_rank = 0;
  for (const int64_t ranks : ShareRanks(strategy)) {
    HELM_ASSIGN_OR_RETURN(const PartsOfStages times, PartsOfShare(config, strategy, data_rank, data_rank + ranks, parts, cancellation));
    const TimeBound bound = BoundOf(config, strategy, times, MicroBatchesOf(config.workload, strategy, data_rank));
    longest = {std::max(longest.step, bound.step), std::max(longest.computing, bound.computing)};
    data_rank += ranks;
  }
  return longest;
}

}  // namespace helm::planner
