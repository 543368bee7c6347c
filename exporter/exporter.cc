#include "exporter/exporter.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "exporter/deepspeed.h"
#include "exporter/heiretsu.h"
#include "exporter/megatron.h"
#include "exporter/torchtitan.h"
#include "ir/schedule_csv.h"
#include "ir/strategy_text.h"
#include "model/chunks.h"
#include "model/lower.h"
#include "model/model_reader.h"
#include "schedule/materialise.h"
#include "schedule/pipeline_schedule.h"

namespace helm::exporter {
namespace {

Result<std::vector<ir::Schedule>> SchedulesOf(const Subject& subject) {
  return schedule::PipelineSchedules(subject.strategy, MicroBatches(subject.workload, subject.strategy));
}

Status CheckScheduleCsv(const Subject& subject) {
  Refusals refusals("schedule-csv");
  refusals.If(subject.strategy.pipeline == 1, "strategy.pipeline 1", "a schedule orders the stages of a pipeline");
  return refusals.ToStatus();
}

Result<Exported> ToScheduleCsv(const Subject& subject) {
  HELM_RETURN_IF_ERROR(CheckScheduleCsv(subject));
  HELM_ASSIGN_OR_RETURN(const auto rows, SchedulesOf(subject));
  return Exported{ir::ToCsv(rows), {}};
}

Status FromScheduleCsv(const Exported& exported, Subject& subject) {
  HELM_ASSIGN_OR_RETURN(subject.strategy.schedule_rows, ir::ParseScheduleCsv(exported.text, kScheduleFile));
  subject.strategy.schedule = "csv";
  return OkStatus();
}

struct Trainer {
  const char* name;
  Status (*check)(const Subject&);
  Result<Exported> (*write)(const Subject&);
  Status (*read)(const Exported&, Subject&);
};
constexpr Trainer kTrainers[] = {{"megatron", CheckMegatron, ToMegatron, FromMegatron},
                                 {"torchtitan", CheckTorchtitan, ToTorchtitan, FromTorchtitan},
                                 {"deepspeed", CheckDeepSpeed, ToDeepSpeed, FromDeepSpeed},
                                 {"heiretsu", CheckHeiretsu, ToHeiretsu, FromHeiretsu},
                                 {"schedule-csv", CheckScheduleCsv, ToScheduleCsv, FromScheduleCsv}};

Result<const Trainer*> Find(const std::string& name) {
  const auto* const found = std::ranges::find_if(kTrainers, [&](const Trainer& trainer) { return name == trainer.name; });
  if (found != std::end(kTrainers)) return found;
  return InvalidError(fmt::format("error: there is no export '{}'\nallowed: {}", name, Join(TrainerNames(), ", ")));
}

Result<Subject> SubjectOf(const ir::Plan& plan) {
  HELM_ASSIGN_OR_RETURN(schedule::PlanParts parts, schedule::ReadParts(plan));
  HELM_RETURN_IF_ERROR(model::CheckStrategy(parts.model, plan.workload, plan.strategy));
  return Subject{std::move(parts.model), std::move(parts.cluster), plan.workload, plan.software, plan.strategy};
}

// The strategy with one way to say what has several: even stages, shards over all ranks, a schedule by name or by its rows.
Result<ir::Strategy> Normalised(const Subject& subject) {
  ir::Strategy strategy = subject.strategy;
  if (strategy.zero == 3 && strategy.fsdp_shard == strategy.data * strategy.context) strategy.fsdp_shard = 0;
  if (strategy.head_stage + 1 == strategy.pipeline) strategy.head_stage = -1;
  ir::Strategy even = strategy;
  even.stages.clear();
  const bool divides = subject.model.layers % (strategy.pipeline * strategy.virtual_pipeline) == 0;
  const auto ends = [&](const ir::Strategy& of) {
    std::vector<int64_t> layers;
    for (const model::Chunk& chunk : model::ChunksOf(subject.model, of)) layers.push_back(chunk.layer_end);
    return layers;
  };
  if (divides && ends(even) == ends(strategy)) strategy.stages.clear();
  HELM_ASSIGN_OR_RETURN(strategy.schedule_rows, SchedulesOf(subject));
  strategy.schedule.clear();
  return strategy;
}

// The model without what no program depends on.
model::ModelSpec Normalised(model::ModelSpec model, int64_t tensor) {
  model.name.clear();
  model.family = {};
  model.notes.clear();
  model.sliding_window = 0;  // none shorter than the sequence is lowered
  if (model.position != model::Position::kLearned) model.max_positions = 0;
  if (model.position != model::Position::kRope) {
    model.rope_theta = 0;
    model.rope_scaling = {};
  }
  model.padded_vocab = model::PaddedVocabulary(model, tensor);
  return model;
}

// What reading back must give again; texts of a difference.
Status CheckSame(const std::string& trainer, const Subject& written, const Subject& read) {
  HELM_RETURN_IF_ERROR(model::CheckStrategy(read.model, read.workload, read.strategy));
  HELM_ASSIGN_OR_RETURN(const ir::Strategy a, Normalised(written));
  HELM_ASSIGN_OR_RETURN(const ir::Strategy b, Normalised(read));
  const char* what = a != b ? "strategy" : written.workload != read.workload ? "workload" : nullptr;
  if (Normalised(written.model, a.tensor) != Normalised(read.model, b.tensor)) what = "model";
  if (written.software != read.software) what = "software";
  if (what == nullptr) return OkStatus();
  return InternalError(fmt::format("error: the export for {} reads back as another {}: {}, written was {}", trainer, what,
                                   ir::Describe(read.strategy), ir::Describe(written.strategy)));
}

// Of the trainers here Megatron-LM alone pads the vocabulary.
Subject ForTrainer(const std::string& trainer, Subject subject) {
  if (trainer == "megatron") subject.model = model::WithPaddedVocabulary(subject.model, subject.software, subject.strategy.tensor);
  return subject;
}

}  // namespace

std::vector<std::string> TrainerNames() {
  std::vector<std::string> names;
  for (const Trainer& trainer : kTrainers) names.emplace_back(trainer.name);
  return names;
}

std::optional<std::string> TrainerOfFramework(const std::string& framework) {
  if (framework == "megatron-core" || framework == "megatron-lm") return "megatron";
  if (framework == "torchtitan" || framework == "deepspeed") return framework;
  return std::nullopt;
}

Status CheckExpressible(const std::string& trainer, const Subject& subject) {
  HELM_ASSIGN_OR_RETURN(const Trainer* found, Find(trainer));
  return found->check(ForTrainer(trainer, subject));
}

Result<Exported> Export(const std::string& trainer, const ir::Plan& plan) {
  HELM_ASSIGN_OR_RETURN(const Trainer* found, Find(trainer));
  HELM_ASSIGN_OR_RETURN(const Subject given, SubjectOf(plan));
  const Subject subject = ForTrainer(trainer, given);
  HELM_ASSIGN_OR_RETURN(Exported exported, found->write(subject));
  Subject again = subject;
  HELM_RETURN_IF_ERROR(found->read(exported, again));
  HELM_RETURN_IF_ERROR(CheckSame(trainer, subject, again));
  return exported;
}

Result<ir::Plan> ReadBack(const std::string& trainer, const Exported& exported, const ir::Plan& base) {
  HELM_ASSIGN_OR_RETURN(const Trainer* found, Find(trainer));
  HELM_ASSIGN_OR_RETURN(Subject subject, SubjectOf(base));
  HELM_RETURN_IF_ERROR(found->read(exported, subject));
  ir::Plan plan = base;
  plan.model = model::ToJson(subject.model);
  plan.workload = subject.workload;
  plan.software = subject.software;
  plan.strategy = subject.strategy;
  plan.passes.clear();
  plan.program_hash.clear();
  plan.prediction = {};
  return plan;
}

}  // namespace helm::exporter
