#include "exec/failure.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "exec/gradient_pass.h"
#include "exec/rank_wait.h"
#include "exec/session.h"

namespace helm::exec {
namespace {

std::string DescribeOp(const ir::Program& program, int64_t index) {
  const ir::Op& op = program.ops[static_cast<size_t>(index)];
  std::string text = fmt::format("op {} {} ({}, {}", index, op.target, op.label, ir::Name(op.phase));
  if (op.layer >= 0) text += fmt::format(", layer {}", op.layer);
  if (op.micro_batch >= 0) text += fmt::format(", micro-batch {}", op.micro_batch);
  return text + ")";
}

// What each rank runs: its program or, in that stage, the gradient pass, which has fewer ops.
class RunningRanks {
 public:
  RunningRanks(const ir::StepPrograms& step, std::span<const RankObservation> ranks) : gradient_passes_(step.classes.size()) {
    for (const RankObservation& rank : ranks) ranks_.push_back({&rank, ProgramOf(step, rank)});
  }
  std::span<const RunningRank> ranks() const { return ranks_; }

 private:
  const ir::Program* ProgramOf(const ir::StepPrograms& step, const RankObservation& rank) {
    const size_t rank_class = ir::ClassOfRank(step, rank.rank);
    if (rank.stage != RankStage::kGradients) return &step.classes[rank_class];
    std::optional<ir::Program>& pass = gradient_passes_[rank_class];
    if (!pass) {
      if (Result<ir::Program> made = GradientPass(step.classes[rank_class]); made.ok()) pass = std::move(made).value();
    }
    return pass ? &*pass : &step.classes[rank_class];
  }

  std::vector<std::optional<ir::Program>> gradient_passes_;  // by class
  std::vector<RunningRank> ranks_;
};

std::string Where(const ir::Program& program, const RankObservation& rank) {
  std::string text = fmt::format("while {}", Name(rank.stage));
  if (rank.stage == RankStage::kTraining) text += fmt::format(", in step {}", rank.step);
  if (rank.stage == RankStage::kCheckpointing) text += fmt::format(" after step {}", rank.step);
  const bool runs_ops = rank.stage == RankStage::kTraining || rank.stage == RankStage::kGradients;
  if (runs_ops && rank.op >= 0 && rank.op < static_cast<int64_t>(program.ops.size())) text += ", at " + DescribeOp(program, rank.op);
  return text;
}

std::string HowEnded(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  return fmt::format("exited with code {}", WEXITSTATUS(status));
}

bool Diverged(const RankObservation& rank) { return rank.reported && rank.reported->message().starts_with(kDiverged); }
bool LostPeer(const RankObservation& rank) { return rank.reported && rank.reported->code() == StatusCode::kRankFailed && !Diverged(rank); }

enum class Symptom : uint8_t { kEnded, kFailed, kStopped, kHangs, kLostPeer, kNone };  // the lower, the nearer to the cause

Symptom SymptomOf(const RankObservation& rank, std::chrono::milliseconds timeout) {
  if (rank.ended) return Symptom::kEnded;
  if (rank.reported && !rank.reported->ok() && !LostPeer(rank)) return Symptom::kFailed;
  if (!rank.reported && rank.stopped) return Symptom::kStopped;
  if (!rank.reported && rank.since_progress >= timeout) return Symptom::kHangs;
  return LostPeer(rank) ? Symptom::kLostPeer : Symptom::kNone;
}

// Of two that hang, the one that is behind. In what order they came to a halt cannot be told, since they are looked at only now and then.
bool Nearer(const RankObservation& a, const RankObservation& b, std::chrono::milliseconds timeout) {
  return std::tuple(SymptomOf(a, timeout), a.stage, a.step, a.op, a.rank) <
         std::tuple(SymptomOf(b, timeout), b.stage, b.step, b.op, b.rank);
}

Status Describe(const ir::Program& program, const RankObservation& rank, std::chrono::milliseconds timeout) {
  const std::string where = Where(program, rank);
  if (rank.ended) return RankFailedError(fmt::format("error: rank {} {} {}", rank.rank, HowEnded(*rank.ended), where));
  if (Diverged(rank)) {
    return RankFailedError(fmt::format("error: rank {} {}: {}", rank.rank, where, rank.reported->message()));
  }
  if (LostPeer(rank)) return RankFailedError(fmt::format("error: rank {} failed {}: {}", rank.rank, where, rank.reported->message()));
  if (rank.reported && !rank.reported->ok()) return *rank.reported;  // an error that says all itself: configuration, data, a bug
  return RankFailedError(fmt::format("error: rank {} {} {}: no progress for {} s (--timeout)", rank.rank,
                                     rank.stopped ? "is stopped" : "hangs", where,
                                     std::chrono::duration_cast<std::chrono::seconds>(std::max(rank.since_progress, timeout)).count()));
}

// From a rank that hangs to the one that keeps it, over those that it waits for. A rank that got on a moment ago keeps nobody.
size_t FollowWaits(std::span<const RunningRank> ranks, size_t hangs, std::chrono::milliseconds timeout) {
  std::vector<bool> met(ranks.size());
  while (!met[hangs]) {
    met[hangs] = true;
    const std::optional<size_t> next = WaitsFor(ranks, hangs);
    if (!next || 2 * ranks[*next].seen->since_progress < timeout) break;
    hangs = *next;
  }
  return hangs;
}

}  // namespace

Status Diagnose(const ir::StepPrograms& step, std::span<const RankObservation> ranks, std::chrono::milliseconds timeout) {
  HELM_CHECK(!ranks.empty(), "a job has ranks");
  const auto nearer = [&](const RankObservation& a, const RankObservation& b) { return Nearer(a, b, timeout); };
  const RunningRanks running(step, ranks);
  auto cause = static_cast<size_t>(std::min_element(ranks.begin(), ranks.end(), nearer) - ranks.begin());
  if (SymptomOf(ranks[cause], timeout) == Symptom::kHangs) cause = FollowWaits(running.ranks(), cause, timeout);
  return Describe(*running.ranks()[cause].program, ranks[cause], timeout);
}

}  // namespace helm::exec
