#include "exec/failure.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
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

std::string Where(const ir::Program& program, const RankObservation& rank) {
  std::string text = fmt::format("while {}", Name(rank.stage));
  if (rank.stage == RankStage::kTraining) text += fmt::format(", in step {}", rank.step);
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

// Lower is nearer to the cause.
int Order(const RankObservation& rank, std::chrono::milliseconds timeout) {
  if (rank.ended) return 0;
  if (rank.reported && !rank.reported->ok() && !LostPeer(rank)) return 1;
  if (!rank.reported && rank.stopped) return 2;
  if (!rank.reported && rank.since_progress >= timeout) return 3;
  if (LostPeer(rank)) return 4;
  return 5;
}

// Of two that hang, the one that is behind: the other waits for it. In what order they came to a halt cannot be told, since they are looked
// at only now and then.
bool Nearer(const RankObservation& a, const RankObservation& b, std::chrono::milliseconds timeout) {
  return std::tuple(Order(a, timeout), a.stage, a.step, a.op, a.rank) < std::tuple(Order(b, timeout), b.stage, b.step, b.op, b.rank);
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

}  // namespace

Status Diagnose(const ir::StepPrograms& step, std::span<const RankObservation> ranks, std::chrono::milliseconds timeout) {
  HELM_CHECK(!ranks.empty(), "a job has ranks");
  const auto nearer = [&](const RankObservation& a, const RankObservation& b) { return Nearer(a, b, timeout); };
  const RankObservation& cause = *std::min_element(ranks.begin(), ranks.end(), nearer);
  return Describe(step.OfRank(cause.rank), cause, timeout);
}

}  // namespace helm::exec
