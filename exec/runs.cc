#include "exec/runs.h"

#include <utility>
#include <vector>

#include "exec/comparison.h"
#include "exec/initial_state.h"

namespace helm::exec {
namespace {

Result<UnsplitState> CollectUnsplit(const Job& job, const ir::Program& program, VerifyKind kind) {
  std::vector<RankState> ranks(static_cast<size_t>(ir::WorldSize(program.mesh)));
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    HELM_ASSIGN_OR_RETURN(ranks[rank], ReadState(job, program, kind, static_cast<int64_t>(rank)));
  }
  return Unsplit(program, ranks);
}

Result<UnsplitState> UnsplitInitialState(const ir::Program& program, uint64_t seed) {
  std::vector<RankState> ranks;
  for (int64_t rank = 0; rank < ir::WorldSize(program.mesh); ++rank) ranks.push_back(InitialState(program, rank, seed));
  return Unsplit(program, ranks);
}

}  // namespace

Result<VerifyResult> CompareRuns(const FinishedJob& split, const FinishedJob& unsplit, const VerifyBounds& bounds) {
  HELM_ASSIGN_OR_RETURN(const ir::Program program, ProgramOf(split.job));
  HELM_ASSIGN_OR_RETURN(const ir::Program unsplit_program, ProgramOf(unsplit.job));
  Comparison comparison(bounds, split.job.steps);
  comparison.AddLosses(split.record.losses, unsplit.record.losses);
  for (const auto kind : {VerifyKind::kGradient, VerifyKind::kParameter}) {
    HELM_ASSIGN_OR_RETURN(const UnsplitState reference, CollectUnsplit(unsplit.job, unsplit_program, kind));
    for (int64_t rank = 0; rank < ir::WorldSize(program.mesh); ++rank) {
      HELM_ASSIGN_OR_RETURN(const RankState state, ReadState(split.job, program, kind, rank));
      if (kind == VerifyKind::kParameter && bounds.parameter_by_update) {
        const double largest_update = split.job.plan.workload.optimizer.learning_rate * static_cast<double>(split.job.steps);
        comparison.AddUpdates(program, rank, state, reference, largest_update);
      } else {
        comparison.AddState(kind, program, rank, state, reference);
      }
    }
  }
  return comparison.Finish();
}

Result<StateDump> CollectDump(const FinishedJob& run) {
  HELM_ASSIGN_OR_RETURN(const ir::Program program, ProgramOf(run.job));
  StateDump dump;
  HELM_ASSIGN_OR_RETURN(dump.initial, UnsplitInitialState(program, run.job.plan.workload.seed));
  HELM_ASSIGN_OR_RETURN(dump.gradients, CollectUnsplit(run.job, program, VerifyKind::kGradient));
  HELM_ASSIGN_OR_RETURN(dump.updated, CollectUnsplit(run.job, program, VerifyKind::kParameter));
  dump.losses = run.record.losses;
  return dump;
}

}  // namespace helm::exec
