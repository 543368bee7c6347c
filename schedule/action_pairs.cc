#include "schedule/action_pairs.h"

#include <algorithm>
#include <vector>

namespace helm::schedule {
namespace {

using ir::Action;
using ir::ActionKind;

bool IsPair(const Action& forward, const Action& backward) {
  return forward.kind == ActionKind::kForward && backward.kind == ActionKind::kFullBackward && forward.micro_batch != backward.micro_batch;
}

// By action: whether it is paired with the next one. Of a pipeline only forwards with the backwards behind them: two stages that pair the
// same two micro-batches, each the other way round, would wait for each other.
std::vector<bool> PairsOf(const ir::Schedule& schedule, bool is_pipeline) {
  std::vector<bool> with_next(schedule.size(), false), taken(schedule.size(), false);
  for (const bool forward_first : {true, false}) {
    if (is_pipeline && !forward_first) continue;
    for (size_t i = 0; i + 1 < schedule.size(); ++i) {
      const Action &first = schedule[i], &second = schedule[i + 1];
      if (taken[i] || taken[i + 1] || !(forward_first ? IsPair(first, second) : IsPair(second, first))) continue;
      with_next[i] = taken[i] = taken[i + 1] = true;
    }
  }
  return with_next;
}

}  // namespace

ir::Program PairActions(const ir::Program& program) {
  const bool is_pipeline =
      std::ranges::any_of(program.mesh, [](const ir::MeshDimension& of) { return of.name == "pipeline" && of.size > 1; });
  const std::vector<bool> with_next = PairsOf(program.schedule, is_pipeline);
  ir::Program result = program;
  result.schedule.clear();
  std::vector<int32_t> action_of(program.schedule.size());
  std::vector<bool> is_second_strand(program.schedule.size(), false);
  for (size_t i = 0; i < program.schedule.size(); ++i) {
    action_of[i] = static_cast<int32_t>(result.schedule.size());
    if (!with_next[i]) {
      result.schedule.push_back(program.schedule[i]);
      continue;
    }
    const bool forward_first = program.schedule[i].kind == ActionKind::kForward;
    const Action &forward = program.schedule[forward_first ? i : i + 1], &backward = program.schedule[forward_first ? i + 1 : i];
    result.schedule.push_back({0, ActionKind::kOverlap, -1, {forward, backward}});
    is_second_strand[forward_first ? i + 1 : i] = true;
    action_of[++i] = static_cast<int32_t>(result.schedule.size()) - 1;
  }
  for (ir::Op& op : result.ops) {
    if (op.action < 0) continue;
    const auto action = static_cast<size_t>(op.action);
    if (is_second_strand[action]) op.strand = 1;
    op.action = action_of[action];
  }
  return result;
}

}  // namespace helm::schedule
