#include "schedule/pipeline_schedule.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.h"
#include "ir/schedule_check.h"
#include "model/chunks.h"
#include "schedule/dual_pipe_v.h"
#include "schedule/list_schedule.h"

namespace helm::schedule {
namespace {

using ir::Action;
using ir::ActionKind;
using ir::Schedule;

struct Sizes {
  int64_t stages = 1;
  int64_t virtual_stages = 1;
  int64_t micro_batches = 1;
  bool paired = false;  // each forward runs beside the backward behind it, op by op (schedule/strands.h)
  std::vector<int64_t> stage_of_chunk;
};

Action At(int64_t chunk, ActionKind kind, int64_t micro_batch) {
  return {static_cast<int32_t>(chunk), kind, static_cast<int32_t>(micro_batch), {}};
}

Schedule GPipe(const Sizes& sizes, int64_t stage) {
  Schedule schedule;
  for (int64_t i = 0; i < sizes.micro_batches; ++i) schedule.push_back(At(stage, ActionKind::kForward, i));
  for (int64_t i = 0; i < sizes.micro_batches; ++i) schedule.push_back(At(stage, ActionKind::kFullBackward, i));
  return schedule;
}

// Of pairs, each takes the place of one action: a micro-batch goes forward and comes back in a pair a stage each, so that twice as many are
// on their way, and one more, since a micro-batch is not paired with itself.
Schedule OneForwardOneBackward(const Sizes& sizes, int64_t stage) {
  const int64_t below = sizes.stages - stage - 1;
  const int64_t ahead = std::min(sizes.paired ? 2 * below + 1 : below, sizes.micro_batches);
  Schedule schedule;
  for (int64_t i = 0; i < ahead; ++i) schedule.push_back(At(stage, ActionKind::kForward, i));
  for (int64_t i = 0; i < sizes.micro_batches; ++i) {
    if (i + ahead < sizes.micro_batches) schedule.push_back(At(stage, ActionKind::kForward, i + ahead));
    schedule.push_back(At(stage, ActionKind::kFullBackward, i));
  }
  return schedule;
}

// The k-th forward (or backward) of a stage runs in groups of `stages` micro-batches, chunk after chunk; backward from the last chunk on.
Action Interleaved(const Sizes& sizes, int64_t stage, int64_t k, ActionKind kind) {
  const int64_t group = sizes.stages * sizes.virtual_stages;
  const int64_t in_group = k % group;
  int64_t chunk = in_group / sizes.stages;
  if (kind != ActionKind::kForward) chunk = sizes.virtual_stages - 1 - chunk;
  return At(chunk * sizes.stages + stage, kind, k / group * sizes.stages + in_group % sizes.stages);
}

Schedule InterleavedOneForwardOneBackward(const Sizes& sizes, int64_t stage) {
  const int64_t total = sizes.micro_batches * sizes.virtual_stages;
  // Of pairs one more, as Megatron-Core does where it runs the exchange of tokens of one micro-batch beside another.
  const int64_t more = sizes.paired ? 1 : 0;
  const int64_t ahead = std::min(2 * (sizes.stages - stage - 1) + (sizes.virtual_stages - 1) * sizes.stages + more, total);
  Schedule schedule;
  for (int64_t k = 0; k < ahead; ++k) schedule.push_back(Interleaved(sizes, stage, k, ActionKind::kForward));
  for (int64_t k = 0; k < total; ++k) {
    if (k + ahead < total) schedule.push_back(Interleaved(sizes, stage, k + ahead, ActionKind::kForward));
    schedule.push_back(Interleaved(sizes, stage, k, ActionKind::kFullBackward));
  }
  return schedule;
}

Schedule ZeroBubbleH1(const Sizes& sizes, int64_t stage) {
  const int64_t ahead = std::min(sizes.stages - stage - 1, sizes.micro_batches);
  Schedule schedule;
  for (int64_t i = 0; i < ahead; ++i) schedule.push_back(At(stage, ActionKind::kForward, i));
  for (int64_t i = 0; i < sizes.micro_batches; ++i) {
    if (i + ahead < sizes.micro_batches) schedule.push_back(At(stage, ActionKind::kForward, i + ahead));
    schedule.push_back(At(stage, ActionKind::kInputGradient, i));
    if (i >= stage) schedule.push_back(At(stage, ActionKind::kWeightGradient, i - stage));
  }
  for (int64_t i = std::max<int64_t>(0, sizes.micro_batches - stage); i < sizes.micro_batches; ++i) {
    schedule.push_back(At(stage, ActionKind::kWeightGradient, i));
  }
  return schedule;
}

using OfStage = Schedule (*)(const Sizes&, int64_t stage);

template <OfStage kMake>
std::vector<Schedule> EachStage(const Sizes& sizes) {
  std::vector<Schedule> schedules;
  for (int64_t stage = 0; stage < sizes.stages; ++stage) schedules.push_back(kMake(sizes, stage));
  return schedules;
}

std::vector<Schedule> ZeroBubbleH2(const Sizes& sizes) {
  return ListSchedules({sizes.stage_of_chunk, sizes.stages, sizes.micro_batches, 2 * sizes.stages - 1});
}

// In flight: as many chunks as 1f1b's first stage holds, which are half as large.
std::vector<Schedule> ZeroBubbleV(const Sizes& sizes) {
  return ListSchedules({sizes.stage_of_chunk, sizes.stages, sizes.micro_batches, 2 * sizes.stages, /*forward_first=*/true});
}

std::vector<Schedule> DualPipeV(const Sizes& sizes) { return DualPipeVSchedules(sizes.stages, sizes.micro_batches); }

enum class Chunks : uint8_t { kOne, kTwo, kSeveral };  // that a stage has: virtual_pipeline

struct NamedSchedule {
  const char* name;
  Chunks chunks;
  std::vector<Schedule> (*make)(const Sizes&);
};
constexpr NamedSchedule kSchedules[] = {{"gpipe", Chunks::kOne, EachStage<GPipe>},
                                        {"1f1b", Chunks::kOne, EachStage<OneForwardOneBackward>},
                                        {"interleaved-1f1b", Chunks::kSeveral, EachStage<InterleavedOneForwardOneBackward>},
                                        {"zb-h1", Chunks::kOne, EachStage<ZeroBubbleH1>},
                                        {"zb-h2", Chunks::kOne, ZeroBubbleH2},
                                        {"zb-v", Chunks::kTwo, ZeroBubbleV},
                                        {"dualpipev", Chunks::kTwo, DualPipeV}};

constexpr int64_t kMicroBatchesMost = int64_t{1} << 16;  // the program of a step has the ops of all of them

Status CheckCount(int64_t micro_batches) {
  if (micro_batches <= kMicroBatchesMost) return OkStatus();
  return InvalidError(fmt::format(
      "error: a step of {} micro-batches is too long; allowed: up to {}\nfix: choose a larger micro_batch or data, or a smaller "
      "global_batch (it counts sequences, not tokens)",
      micro_batches, kMicroBatchesMost));
}

Status CheckSizes(const NamedSchedule& schedule, const ir::Strategy& strategy, int64_t micro_batches) {
  const int64_t virtual_stages = strategy.virtual_pipeline;
  if (schedule.chunks == Chunks::kOne && virtual_stages != 1) {
    return InvalidError(
        fmt::format("error: strategy.virtual_pipeline {} needs schedule: interleaved-1f1b, not {}", virtual_stages, strategy.schedule));
  }
  if (schedule.chunks == Chunks::kTwo && virtual_stages != 2) {
    return InvalidError(fmt::format("error: schedule {} has two chunks on each stage; give strategy.virtual_pipeline 2, not {}",
                                    strategy.schedule, virtual_stages));
  }
  if (schedule.chunks == Chunks::kSeveral && virtual_stages < 2) {
    return InvalidError("error: schedule interleaved-1f1b needs strategy.virtual_pipeline above 1; with one chunk a stage it is 1f1b");
  }
  if (schedule.chunks == Chunks::kSeveral && micro_batches % strategy.pipeline != 0) {
    return InvalidError(
        fmt::format("error: schedule interleaved-1f1b needs micro-batches in groups of strategy.pipeline {}, there are {}; "
                    "choose micro_batch or global_batch so that they divide",
                    strategy.pipeline, micro_batches));
  }
  if (strategy.schedule == "dualpipev" && micro_batches < 2 * strategy.pipeline) {
    return InvalidError(
        fmt::format("error: schedule dualpipev needs at least 2 x strategy.pipeline = {} micro-batches, there are {}; "
                    "choose a smaller micro_batch or a larger global_batch",
                    2 * strategy.pipeline, micro_batches));
  }
  return OkStatus();
}

// That every action is of a chunk of its stage.
Status CheckOwn(const Schedule& schedule, int64_t stage, const std::vector<int64_t>& stage_of_chunk) {
  for (const Action& action : schedule) {
    const bool known = action.stage >= 0 && action.stage < std::ssize(stage_of_chunk);
    if (known && stage_of_chunk[static_cast<size_t>(action.stage)] == stage) continue;
    std::vector<std::string> chunks;
    for (size_t chunk = 0; chunk < stage_of_chunk.size(); ++chunk) {
      if (stage_of_chunk[chunk] == stage) chunks.push_back(std::to_string(chunk));
    }
    return InvalidError(fmt::format("error: schedule: stage {} cannot run {}; its actions are F, B, I and W of chunk {}", stage,
                                    ToText(action), Join(chunks, ", ")));
  }
  return OkStatus();
}

// The rows of the strategy, when they are for as many micro-batches.
Result<std::vector<Schedule>> OwnSchedule(const ir::Strategy& strategy, int64_t micro_batches) {
  const int64_t own = ir::MicroBatchesOf(strategy.schedule_rows);
  if (own != micro_batches) {
    return InvalidError(
        fmt::format("error: strategy.schedule is for {} micro-batches, the step has {} (global_batch / (micro_batch x data)); "
                    "choose them so that there are {}",
                    own, micro_batches, own));
  }
  HELM_RETURN_IF_ERROR(CheckSchedules(strategy.schedule_rows, StagesOfChunks(strategy), micro_batches));
  return strategy.schedule_rows;
}

}  // namespace

std::vector<std::string> ScheduleNames() {
  std::vector<std::string> names = {"none"};
  for (const NamedSchedule& schedule : kSchedules) names.emplace_back(schedule.name);
  return names;
}

Result<std::vector<Schedule>> PipelineSchedules(const ir::Strategy& strategy, int64_t micro_batches) {
  HELM_RETURN_IF_ERROR(CheckCount(micro_batches));
  if (strategy.schedule == "none" && strategy.pipeline == 1) return std::vector<Schedule>{ir::ScheduleInTurn(micro_batches)};
  if (strategy.schedule == "csv") return OwnSchedule(strategy, micro_batches);
  const auto* const found = std::ranges::find(kSchedules, strategy.schedule, &NamedSchedule::name);
  if (found == std::end(kSchedules)) {
    return InvalidError(fmt::format("error: strategy.schedule '{}' is not known to this version\nallowed: {}", strategy.schedule,
                                    Join(ScheduleNames(), ", ")));
  }
  HELM_RETURN_IF_ERROR(CheckSizes(*found, strategy, micro_batches));
  return found->make(
      {strategy.pipeline, strategy.virtual_pipeline, micro_batches, strategy.overlap == "strands", StagesOfChunks(strategy)});
}

std::vector<int64_t> StagesOfChunks(const ir::Strategy& strategy) {
  std::vector<int64_t> stages;
  for (int64_t chunk = 0; chunk < strategy.pipeline * strategy.virtual_pipeline; ++chunk) {
    stages.push_back(model::StageOfChunk(strategy, chunk));
  }
  return stages;
}

Status CheckSchedules(const std::vector<Schedule>& schedules, const std::vector<int64_t>& stage_of_chunk, int64_t micro_batches) {
  for (size_t stage = 0; stage < schedules.size(); ++stage) {
    HELM_RETURN_IF_ERROR(CheckOwn(schedules[stage], static_cast<int64_t>(stage), stage_of_chunk));
  }
  const auto problems = ir::ScheduleProblems(schedules, std::ssize(stage_of_chunk), micro_batches);
  return problems.empty() ? OkStatus() : InvalidError(fmt::format("error: schedule: {}", problems.front().message));
}

}  // namespace helm::schedule
