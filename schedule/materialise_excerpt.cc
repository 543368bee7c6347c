#include "schedule/materialise_excerpt.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "ir/schedule_check.h"
#include "model/chunks.h"
#include "model/lower.h"
#include "model/parameter_plan.h"
#include "schedule/pass.h"
#include "schedule/pipeline_schedule.h"

namespace helm::schedule {
namespace {

// The first overwrites gradients, the last starts their reductions. Where each reduces its own, a micro-batch ends what the one before has
// begun, and the first has begun something else than the others: then two do not stand for others.
int32_t MicroBatchesTold(const ir::Strategy& strategy) { return model::ShardingOf(strategy).gradients ? 4 : 3; }

// What a chunk does, but for the numbers of its layers.
struct ChunkWork {
  std::vector<bool> layers;  // in order, whether each has experts
  bool embedding = false;
  bool head = false;
  // How far along the pipeline, around it, the chunks before and behind lie: 0 where no message is sent.
  int64_t to_before = 0;
  int64_t to_behind = 0;
  bool operator==(const ChunkWork&) const = default;
};

// Two stages of equal work have the same actions, if not in the same order, and so the same templates.
struct StageWork {
  std::vector<ChunkWork> chunks;
  std::set<std::tuple<int64_t, ir::ActionKind, int32_t>> actions;  // which of the stage's chunks, what, for which micro-batch
  bool operator==(const StageWork&) const = default;
};

std::vector<ChunkWork> WorkOf(const model::ModelSpec& model, const std::vector<model::Chunk>& chunks, const ir::Strategy& strategy) {
  std::vector<ChunkWork> work;
  for (const model::Chunk& chunk : chunks) {
    const auto offset_to = [&](int64_t other) {
      return (model::StageOfChunk(strategy, other) - model::StageOfChunk(strategy, chunk.index) + strategy.pipeline) % strategy.pipeline;
    };
    std::vector<bool> layers;
    for (int64_t layer = chunk.layer_begin; layer < chunk.layer_end; ++layer) layers.push_back(model::HasExperts(model, layer));
    work.push_back({std::move(layers), chunk.embedding, chunk.head, chunk.embedding ? 0 : offset_to(chunk.index - 1),
                    chunk.head ? 0 : offset_to(chunk.index + 1)});
  }
  return work;
}

// Of the micro-batches [first, end) one of each way in which the stage runs them: input and weight gradients apart or not, in each of its
// chunks.
std::vector<int32_t> OneOfEachWay(const ir::Schedule& schedule, int32_t first, int32_t end) {
  const auto has = [&schedule](ir::ActionKind kind) { return std::ranges::find(schedule, kind, &ir::Action::kind) != schedule.end(); };
  if (!has(ir::ActionKind::kInputGradient) || !has(ir::ActionKind::kFullBackward)) return {first};
  std::vector<std::set<int32_t>> apart(static_cast<size_t>(end));  // chunks, by micro-batch
  for (const ir::Action& action : schedule) {
    if (action.kind == ir::ActionKind::kInputGradient && action.micro_batch < end) {
      apart[static_cast<size_t>(action.micro_batch)].insert(action.stage);
    }
  }
  std::set<std::set<int32_t>> seen;
  std::vector<int32_t> told;
  for (int32_t micro_batch = first; micro_batch < end; ++micro_batch) {
    if (seen.insert(apart[static_cast<size_t>(micro_batch)]).second) told.push_back(micro_batch);
  }
  return told;
}

// `inner`, and the first others of [first, end) where these are fewer than `count`; ascending.
std::vector<int32_t> FilledUp(std::vector<int32_t> inner, size_t count, int32_t first, int32_t end) {
  for (int32_t micro_batch = first; micro_batch < end && inner.size() < count; ++micro_batch) {
    if (std::ranges::find(inner, micro_batch) == inner.end()) inner.push_back(micro_batch);
  }
  std::ranges::sort(inner);
  return inner;
}

// The actions of the first `begun`, the inner and the last micro-batch, numbered from 0.
ir::Schedule Shortened(const ir::Schedule& schedule, int64_t micro_batches, int32_t begun, const std::vector<int32_t>& inner) {
  const auto inner_count = static_cast<int32_t>(inner.size());
  ir::Schedule shortened;
  for (ir::Action action : schedule) {
    if (action.micro_batch + 1 == micro_batches) {
      action.micro_batch = begun + inner_count;
    } else if (action.micro_batch >= begun) {
      const auto told = std::ranges::find(inner, action.micro_batch);
      if (told == inner.end()) continue;
      action.micro_batch = begun + static_cast<int32_t>(told - inner.begin());
    }
    shortened.push_back(std::move(action));
  }
  return shortened;
}

std::vector<sim::LayerTurn> TurnsOf(const ir::Action& action, const std::vector<model::Chunk>& chunks, const model::LayerExcerpt& layers,
                                    bool in_last) {
  const auto chunk = std::ranges::find(chunks, action.stage, &model::Chunk::index);
  std::vector<sim::LayerTurn> turns;
  if (chunk == chunks.end()) return turns;
  for (int64_t layer = chunk->layer_begin; layer < chunk->layer_end; ++layer) {
    turns.push_back({static_cast<int32_t>(layer), layers.ToldBy(layer, in_last)});
  }
  if (action.kind != ir::ActionKind::kForward) std::ranges::reverse(turns);
  return turns;
}

class ExcerptMaker {
 public:
  ExcerptMaker(const ir::Plan& plan, const model::ModelSpec& model, ir::DeviceKind device, LayersLeftOut left_out,
               const Cancellation& cancellation)
      : plan_(plan), model_(model), device_(device), left_out_(left_out), cancellation_(cancellation) {}

  Result<sim::StepExcerpt> Run() {
    const ir::Strategy& strategy = plan_.strategy;
    HELM_RETURN_IF_ERROR(model::CheckStrategy(model_, plan_.workload, strategy));
    excerpt_.micro_batches = MicroBatches(plan_.workload, strategy);
    HELM_ASSIGN_OR_RETURN(excerpt_.schedules, PipelineSchedules(strategy, excerpt_.micro_batches));
    Shorten();
    const size_t stages = excerpt_.schedules.size();
    excerpt_.programs.classes.resize(stages);
    excerpt_.layers.resize(stages);
    excerpt_.left_out_storages.resize(stages);
    for (size_t stage = 0; stage < stages; ++stage) {
      chunks_.push_back(model::ChunksOfStage(model_, strategy, static_cast<int64_t>(stage)));
      works_.push_back({WorkOf(model_, chunks_.back(), strategy), {}});
      for (const ir::Action& action : written_[stage]) {
        works_.back().actions.insert({action.stage / strategy.pipeline, action.kind, action.micro_batch});
      }
      excerpt_.told_by.push_back(static_cast<size_t>(std::ranges::find(works_, works_.back()) - works_.begin()));
      if (excerpt_.told_by.back() == stage) HELM_RETURN_IF_ERROR(Write(stage));
    }
    return std::move(excerpt_);
  }

 private:
  // Which micro-batches are written.
  void Shorten() {
    const int32_t told = MicroBatchesTold(plan_.strategy), begun = told - 2;
    const auto last = static_cast<int32_t>(excerpt_.micro_batches) - 1;
    written_ = excerpt_.schedules;
    excerpt_.micro_batches_written = excerpt_.micro_batches;
    if (excerpt_.micro_batches <= told || !std::ranges::all_of(excerpt_.schedules, ir::Ascends)) return;
    std::vector<std::vector<int32_t>> inner;  // by stage
    size_t most = 0;
    for (const ir::Schedule& schedule : excerpt_.schedules) {
      most = std::max(most, inner.emplace_back(OneOfEachWay(schedule, begun, last)).size());
    }
    const bool tells = most == 1 || (left_out_ != LayersLeftOut::kNone && excerpt_.micro_batches > begun + static_cast<int64_t>(most) + 1);
    if (!tells) return;
    excerpt_.micro_batches_inner = static_cast<int64_t>(most);
    excerpt_.micro_batches_written = begun + excerpt_.micro_batches_inner + 1;
    for (size_t stage = 0; stage < written_.size(); ++stage) {
      written_[stage] = Shortened(written_[stage], excerpt_.micro_batches, begun, FilledUp(inner[stage], most, begun, last));
    }
  }

  Status Write(size_t stage) {
    const ir::Strategy& strategy = plan_.strategy;
    const auto coordinate = static_cast<int64_t>(stage);
    const ir::Schedule& schedule = written_[stage];
    model::LayerExcerpt layers;
    if (left_out_ != LayersLeftOut::kNone) {
      layers = model::ExcerptOf(model_, plan_.software, strategy, coordinate, left_out_ == LayersLeftOut::kMostButInLast);
    }
    HELM_ASSIGN_OR_RETURN(ir::Program program, model::LowerStage(model_, plan_.workload, plan_.software, strategy, device_, schedule,
                                                                 coordinate, layers, cancellation_));
    HELM_ASSIGN_OR_RETURN(excerpt_.programs.classes[stage], ApplyOverlap(strategy, std::move(program)));
    const std::vector<ir::Storage>& storages = excerpt_.programs.classes[stage].storages;
    for (size_t i = 0; i < storages.size(); ++i) {
      if (storages[i].name.starts_with(model::kLeftOutStorages)) excerpt_.left_out_storages[stage].emplace_back(i);
    }
    for (const ir::Action& action : schedule) {
      const bool in_last = action.micro_batch + 1 == excerpt_.micro_batches_written;
      excerpt_.layers[stage].push_back(TurnsOf(action, chunks_[stage], layers, in_last));
    }
    return OkStatus();
  }

  const ir::Plan& plan_;
  const model::ModelSpec& model_;
  const ir::DeviceKind device_;
  const LayersLeftOut left_out_;
  const Cancellation& cancellation_;
  std::vector<std::vector<model::Chunk>> chunks_;  // by stage
  std::vector<ir::Schedule> written_;              // by stage
  std::vector<StageWork> works_;                   // by stage
  sim::StepExcerpt excerpt_;
};

}  // namespace

Result<sim::StepExcerpt> MaterialiseExcerpt(const ir::Plan& plan, const model::ModelSpec& model, ir::DeviceKind device,
                                            LayersLeftOut left_out, const Cancellation& cancellation) {
  return ExcerptMaker(plan, model, device, left_out, cancellation).Run();
}

}  // namespace helm::schedule
