#include "exec/runs.h"

#include <optional>
#include <utility>
#include <vector>

#include "exec/checkpoint_reader.h"
#include "exec/comparison.h"
#include "exec/initial_state.h"

namespace helm::exec {
namespace {

Result<UnsplitState> CollectUnsplit(const Job& job, const ir::StepPrograms& step, VerifyKind kind) {
  std::vector<RankState> ranks;
  for (int64_t rank = 0; rank < ir::WorldSize(step.mesh()); ++rank) {
    HELM_ASSIGN_OR_RETURN(ranks.emplace_back(), ReadState(job, step.OfRank(rank), kind, rank));
  }
  return Unsplit(step, ranks);
}

// Before the first step that was run.
Result<UnsplitState> UnsplitFirstState(const Job& job, const ir::StepPrograms& step) {
  std::optional<CheckpointReader> checkpoint;
  if (!job.checkpoint.resume.empty()) {
    HELM_ASSIGN_OR_RETURN(checkpoint, CheckpointReader::Open(job.checkpoint.resume));
  }
  std::vector<RankState> ranks;
  for (int64_t rank = 0; rank < ir::WorldSize(step.mesh()); ++rank) {
    if (!checkpoint) {
      ranks.push_back(InitialState(step.OfRank(rank), rank, job.plan.workload.seed));
      continue;
    }
    HELM_ASSIGN_OR_RETURN(ranks.emplace_back(), checkpoint->ReadParameters(step.OfRank(rank), rank));
  }
  return Unsplit(step, ranks);
}

}  // namespace

Result<VerifyResult> CompareRuns(const FinishedJob& split, const FinishedJob& unsplit, const VerifyBounds& bounds) {
  HELM_ASSIGN_OR_RETURN(const ir::StepPrograms step, ProgramsOf(split.job));
  HELM_ASSIGN_OR_RETURN(const ir::StepPrograms unsplit_step, ProgramsOf(unsplit.job));
  Comparison comparison(bounds, split.job.steps, split.job.first_step);
  comparison.AddLosses(split.record.losses, unsplit.record.losses);
  for (const auto kind : {VerifyKind::kGradient, VerifyKind::kParameter}) {
    HELM_ASSIGN_OR_RETURN(const UnsplitState reference, CollectUnsplit(unsplit.job, unsplit_step, kind));
    for (int64_t rank = 0; rank < ir::WorldSize(step.mesh()); ++rank) {
      const ir::Program& program = step.OfRank(rank);
      HELM_ASSIGN_OR_RETURN(const RankState state, ReadState(split.job, program, kind, rank));
      if (kind == VerifyKind::kParameter && bounds.parameter_by_update) {
        const double largest_update = split.job.plan.workload.optimizer.learning_rate * static_cast<double>(split.job.steps);
        comparison.AddUpdates(program, rank, state, reference, largest_update);
      } else {
        comparison.AddState(kind, program, rank, state, reference);
      }
    }
  }
  VerifyResult result = comparison.Finish();
  result.adamw_epsilon = split.job.plan.workload.optimizer.epsilon;
  return result;
}

Result<StateDump> CollectDump(const FinishedJob& run) {
  HELM_ASSIGN_OR_RETURN(const ir::StepPrograms step, ProgramsOf(run.job));
  StateDump dump;
  HELM_ASSIGN_OR_RETURN(dump.initial, UnsplitFirstState(run.job, step));
  HELM_ASSIGN_OR_RETURN(dump.gradients, CollectUnsplit(run.job, step, VerifyKind::kGradient));
  HELM_ASSIGN_OR_RETURN(dump.updated, CollectUnsplit(run.job, step, VerifyKind::kParameter));
  dump.first_step = run.job.first_step;
  dump.losses = run.record.losses;
  return dump;
}

}  // namespace helm::exec
