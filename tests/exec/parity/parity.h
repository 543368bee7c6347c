// Parity: runs split plans and their unsplit models on processes that stay alive between plans, and compares them.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/text.h"
#include "exec/private_folder.h"
#include "exec/rank_pool.h"
#include "exec/runs.h"
#include "exec/verify.h"
#include "ir/program_text.h"
#include "ir/verify.h"
#include "schedule/materialise.h"
#include "training_plan.h"

namespace helm::exec {

constexpr int64_t kParityRanks = 8;
constexpr int64_t kParitySteps = 3;

struct ParityCase {
  std::string name;
  model::ModelSpec model;
  PlanSettings settings;
  bool as_verified = false;  // begins where helm-exec --verify does, not WithoutSpecialValues
};

inline std::string Way(ir::ContextCommunication how) {
  return how == ir::ContextCommunication::kRing ? " ring" : how == ir::ContextCommunication::kAllGather ? " gather" : " exchange";
}

inline std::string NameOf(const model::ModelSpec& model, const PlanSettings& settings) {
  const ir::Strategy& s = settings.strategy;
  const std::string pipeline = s.pipeline == 1 ? "" : " pipeline " + std::to_string(s.pipeline) + " " + s.schedule;
  const std::string rest = (s.zero == 0 ? "" : " zero " + std::to_string(s.zero)) +
                           (s.fsdp_shard == 0 ? "" : " fsdp " + std::to_string(s.fsdp_shard) + "x" + std::to_string(s.fsdp_replicate)) +
                           (s.recompute == "none" ? "" : " recompute " + s.recompute) +
                           (s.recompute_ops.empty() ? "" : " " + Join(s.recompute_ops, "+"));
  std::string shares;
  for (const int64_t count : s.micro_batches) shares += (shares.empty() ? " micro-batches " : "+") + std::to_string(count);
  const std::string context = s.context == 1 ? "" : " context " + std::to_string(s.context) + Way(settings.context_communication);
  return model.name + pipeline + context + rest + " data " + std::to_string(s.data) + " tensor " + std::to_string(s.tensor) +
         (s.sequence_parallel ? " sequence" : "") + " micro-batch " + std::to_string(s.micro_batch) + shares + " of " +
         std::to_string(settings.global_batch) + (settings.dtype == ir::DataType::kFloat32 ? " fp32" : " bf16");
}

inline ParityCase MakeCase(const model::ModelSpec& model, const PlanSettings& settings) {
  return {NameOf(model, settings), model, settings};
}

// Parameters that begin at one or zero hide what they multiply or are added to (a norm's weight left out changes nothing at first): here
// they begin at random values, in split and unsplit runs alike.
inline ir::StepPrograms WithoutSpecialValues(ir::StepPrograms step) {
  for (ir::Program& program : step.classes) {
    for (ir::ParameterSegment& segment : program.segments) {
      for (ir::ParameterPiece& piece : segment.pieces) {
        if (piece.initialization == ir::Initialization::kNormal) continue;
        piece.standard_deviation = piece.initialization == ir::Initialization::kOnes ? 0.5 : 0.05;
        piece.initialization = ir::Initialization::kNormal;
      }
    }
  }
  return step;
}

class ParityRunner {
 public:
  static Result<std::unique_ptr<ParityRunner>> Start() {
    std::unique_ptr<ParityRunner> runner(new ParityRunner);
    HELM_ASSIGN_OR_RETURN(runner->folder_, PrivateFolder::Make());
    HELM_RETURN_IF_ERROR(runner->StartPool());
    return runner;
  }

  ir::Plan PlanOf(const ParityCase& parity) const {
    ir::Plan plan = MakePlan(parity.model, parity.settings);
    const bool adapters = parity.as_verified && parity.model.lora.rank > 0;
    plan.workload.optimizer.epsilon = VerifyEpsilon(parity.settings.dtype, adapters);
    return plan;
  }

  // Runs `programs` in place of the plan's own, where they are given.
  Result<VerifyResult> Check(const ParityCase& parity, const ir::StepPrograms* programs = nullptr) {
    if (pool_->failed()) HELM_RETURN_IF_ERROR(StartPool());
    HELM_ASSIGN_OR_RETURN(const Reference* reference, ReferenceOf(parity));
    Job split = JobOf(parity, PlanOf(parity), "split");
    if (programs != nullptr) {
      split.programs = ir::ToText(*programs);
    } else {
      HELM_ASSIGN_OR_RETURN(split.programs, ProgramTextOf(parity, split.plan));
    }
    HELM_ASSIGN_OR_RETURN(const JobRecord record, pool_->Run(split, {}));
    return CompareRuns({split, record}, {reference->job, reference->record}, BoundsFor(parity.settings.dtype));
  }

 private:
  struct Reference {
    Job job;
    JobRecord record;
  };

  Status StartPool() {
    HELM_ASSIGN_OR_RETURN(pool_, RankPool::Start({.ranks = kParityRanks, .log = [](std::string_view line) { std::cerr << line << "\n"; }}));
    return OkStatus();
  }

  Job JobOf(const ParityCase& parity, ir::Plan plan, std::string tag) const {
    return {.plan = std::move(plan),
            .plan_path = "parity",
            .steps = kParitySteps,
            .keep_state = true,
            .verify = parity.as_verified,
            .folder = folder_->path(),
            .tag = std::move(tag),
            .threads_per_rank = 1};
  }

  static Result<std::string> ProgramTextOf(const ParityCase& parity, const ir::Plan& plan) {
    HELM_ASSIGN_OR_RETURN(const ir::StepPrograms step, schedule::Materialise(plan));
    return ir::ToText(parity.as_verified ? step : WithoutSpecialValues(step));
  }

  // One run of each unsplit model for all cases that are compared with it.
  Result<const Reference*> ReferenceOf(const ParityCase& parity) {
    const ir::Plan plan = schedule::UnsplitPlan(PlanOf(parity));
    const std::string key = ir::ToYaml(plan) + (parity.as_verified ? "as verified" : "");
    const auto found = references_.find(key);
    if (found != references_.end()) return static_cast<const Reference*>(&found->second);
    Job job = JobOf(parity, plan, "unsplit" + std::to_string(references_.size()));
    HELM_ASSIGN_OR_RETURN(job.programs, ProgramTextOf(parity, plan));
    HELM_ASSIGN_OR_RETURN(JobRecord record, pool_->Run(job, {}));
    return static_cast<const Reference*>(&(references_[key] = {std::move(job), std::move(record)}));
  }

  std::unique_ptr<PrivateFolder> folder_;
  std::unique_ptr<RankPool> pool_;
  std::map<std::string, Reference> references_;
};

// "fp32 llama ...: loss 1e-7, gradient 2e-7, parameter 3e-7 (layers...)".
inline std::string Describe(const ParityCase& parity, const VerifyResult& result) {
  std::string text = parity.name + ":";
  for (const VerifyError& error : result.by_kind) {
    char number[32];
    std::snprintf(number, sizeof number, " %.1e", error.error);
    text += " " + std::string(Name(error.kind)) + number + " (" + error.tensor + ")";
  }
  return text;
}

}  // namespace helm::exec
