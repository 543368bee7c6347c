#include "exec/rank_wait.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "ir/lifetime.h"

namespace helm::exec {
namespace {

// Ops that meet in their order: the collectives of a group, or the messages of one direction between two of its ranks.
struct Channel {
  std::string group;
  std::string target;  // of messages: c10d.send or c10d.recv; empty: collectives
  int64_t peer = -1;   // of messages: the rank at the other end
};

int64_t PeerOf(const RunningRank& rank, const ir::Op& op) {
  const std::vector<int64_t> members = ir::GroupMembers(*rank.program, op.group, rank.seen->rank);
  const auto own = static_cast<size_t>(std::ranges::find(members, rank.seen->rank) - members.begin());
  return members[(own + static_cast<size_t>(ir::PeerOffset(*rank.program, op))) % members.size()];
}

Channel ChannelOf(const RunningRank& rank, const ir::Op& op) {
  const std::string& group = rank.program->group(op.group).name;
  return ir::IsPointToPoint(op) ? Channel{group, op.target, PeerOf(rank, op)} : Channel{.group = group};
}

// The same channel, seen from its other end.
Channel OtherEnd(const RunningRank& rank, const Channel& channel) {
  if (channel.target.empty()) return channel;
  return {channel.group, channel.target == "c10d.send" ? "c10d.recv" : "c10d.send", rank.seen->rank};
}

bool LiesOn(const RunningRank& rank, const ir::Op& op, const Channel& channel) {
  if (op.kind != ir::OpKind::kCollectiveStart || rank.program->group(op.group).name != channel.group) return false;
  if (!ir::IsPointToPoint(op)) return channel.target.empty();
  return op.target == channel.target && PeerOf(rank, op) == channel.peer;
}

std::vector<size_t> OpsOn(const RunningRank& rank, const Channel& channel) {
  std::vector<size_t> ops;
  for (size_t i = 0; i < rank.program->ops.size(); ++i) {
    if (LiesOn(rank, rank.program->ops[i], channel)) ops.push_back(i);
  }
  return ops;
}

bool TakesPart(const RunningRank& rank, const ir::Op& op, const Channel& channel, int64_t other) {
  if (other == rank.seen->rank) return false;
  if (!channel.target.empty()) return other == channel.peer;
  const std::vector<int64_t> members = ir::GroupMembers(*rank.program, op.group, rank.seen->rank);
  return std::ranges::find(members, other) != members.end();
}

bool HasEnded(const RunningRank& rank) { return rank.seen->reported.has_value() && rank.seen->reported->ok(); }

// Whether `other` has come past its end of what `rank` started with its op `start`. What it does not have it cannot be behind with.
bool HasPassed(const RunningRank& other, const RunningRank& rank, size_t start, const Channel& channel) {
  const auto part = [](const RunningRank& of) { return std::tuple(of.seen->stage, of.seen->step); };
  if (HasEnded(other) || part(other) > part(rank)) return true;
  if (part(other) < part(rank)) return false;
  const std::vector<size_t> own_ops = OpsOn(rank, channel);
  const auto number = static_cast<size_t>(std::ranges::find(own_ops, start) - own_ops.begin());
  const std::vector<size_t> ops = OpsOn(other, OtherEnd(rank, channel));
  return number >= ops.size() || other.seen->op > static_cast<int64_t>(ops[number]);
}

bool IsBetweenSteps(const RunningRank& rank) {
  const bool runs_ops = rank.seen->stage == RankStage::kTraining || rank.seen->stage == RankStage::kGradients;
  return !runs_ops || rank.seen->op < 0 || rank.seen->op >= static_cast<int64_t>(rank.program->ops.size());
}

std::optional<size_t> FurtherBehind(std::span<const RunningRank> ranks, size_t waiter) {
  const auto place = [](const RunningRank& of) { return std::tuple(of.seen->stage, of.seen->step, of.seen->op); };
  std::optional<size_t> last;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (!HasEnded(ranks[i]) && place(ranks[i]) < place(ranks[last.value_or(waiter)])) last = i;
  }
  return last;
}

}  // namespace

std::optional<size_t> WaitsFor(std::span<const RunningRank> ranks, size_t waiter) {
  const RunningRank& rank = ranks[waiter];
  if (IsBetweenSteps(rank)) return FurtherBehind(ranks, waiter);
  const auto at = static_cast<size_t>(rank.seen->op);
  if (rank.program->ops[at].kind != ir::OpKind::kWait) return std::nullopt;
  const std::vector<std::vector<ir::OpId>> ended_by = ir::EndedBy(*rank.program);
  for (const ir::OpId start : ended_by[at]) {
    const ir::Op& op = rank.program->op(start);
    const Channel channel = ChannelOf(rank, op);
    for (size_t i = 0; i < ranks.size(); ++i) {
      if (TakesPart(rank, op, channel, ranks[i].seen->rank) && !HasPassed(ranks[i], rank, start.index(), channel)) return i;
    }
  }
  return std::nullopt;
}

}  // namespace helm::exec
