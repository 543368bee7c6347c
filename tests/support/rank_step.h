// RankStep: a training step of many ranks as tasks: what tests and benchmarks run unfolded (each rank its own tasks, each collective of
// each group its own) and folded (one rank of each class).
//
// All ranks do the same actions; how long they compute depends on their color. A collective starts when all members of the group have
// reached it and the group's collective before it has ended; its rank goes on meanwhile. A wait ends the rank's collectives of that kind of
// group.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "core/check.h"
#include "sim/event_graph.h"
#include "sim/rank_classes.h"
#include "sim/static_engine.h"

namespace helm::sim {

struct StepAction {
  enum class Kind : uint8_t { kCompute, kCollective, kWait };
  Kind kind = Kind::kCompute;
  uint32_t group_kind = 0;  // of a collective or a wait
};

// A rank that is simulated, or one that stands for its class; and a group of them.
struct CellGroup {
  uint32_t kind = 0;
  uint32_t placement = 0;
  uint32_t size = 0;              // ranks, however many cells stand for them
  std::vector<uint32_t> members;  // cells
};
struct Cells {
  std::vector<uint32_t> colors;
  std::vector<CellGroup> groups;
  std::vector<std::vector<uint32_t>> group_of;  // by kind and cell; kNone: in no group of that kind
};

struct RankStep {
  std::vector<StepAction> actions;
  std::vector<std::vector<int64_t>> compute;  // by color and action, picoseconds
  std::function<int64_t(size_t action, const CellGroup& group)> collective;
};

inline Cells AllRanks(const std::vector<uint32_t>& colors, const std::vector<RankGroup>& groups, uint32_t kinds) {
  Cells cells{colors, {}, std::vector<std::vector<uint32_t>>(kinds, std::vector<uint32_t>(colors.size(), kNone))};
  for (uint32_t group = 0; group < groups.size(); ++group) {
    const RankGroup& given = groups[group];
    cells.groups.push_back({given.kind, given.placement, static_cast<uint32_t>(given.members.size()), given.members});
    for (const uint32_t rank : given.members) cells.group_of[given.kind][rank] = group;
  }
  return cells;
}

inline Cells Representatives(const RankClasses& classes, const std::vector<uint32_t>& colors, const std::vector<RankGroup>& groups,
                             uint32_t kinds) {
  Cells cells{{}, {}, std::vector<std::vector<uint32_t>>(kinds, std::vector<uint32_t>(classes.size(), kNone))};
  for (const uint32_t rank : classes.representatives) cells.colors.push_back(colors[rank]);
  for (const FoldedGroup& group : classes.groups) cells.groups.push_back({group.kind, group.placement, group.size, group.classes});
  for (uint32_t group = 0; group < groups.size(); ++group) {
    for (const uint32_t rank : groups[group].members) {
      cells.group_of[groups[group].kind][classes.class_of_rank[rank]] = classes.folded_group[group];
    }
  }
  return cells;
}

// Adds the tasks action by action, each by add(stream, duration, predecessors), which returns its number; stream: the cell, or the number
// of cells plus the group. Returns by cell the task after which it is done.
template <typename Add>
std::vector<uint32_t> AddRankStep(const RankStep& step, const Cells& cells, const Add& add) {
  const auto count = static_cast<uint32_t>(cells.colors.size());
  std::vector<uint32_t> last(count, kNone);                      // by cell: the task that it did last
  std::vector<uint32_t> collective(cells.groups.size(), kNone);  // by group: its last one
  std::vector<std::vector<uint32_t>> waits(count);               // by cell: what its next task waits for, besides `last`
  std::vector<uint32_t> before;
  for (size_t action = 0; action < step.actions.size(); ++action) {
    const auto [kind, group_kind] = step.actions[action];
    if (kind == StepAction::Kind::kCollective) {
      for (uint32_t group = 0; group < cells.groups.size(); ++group) {
        if (cells.groups[group].kind != group_kind) continue;
        before.clear();
        for (const uint32_t cell : cells.groups[group].members) {
          if (last[cell] != kNone) before.push_back(last[cell]);
          before.insert(before.end(), waits[cell].begin(), waits[cell].end());
        }
        collective[group] = add(count + group, step.collective(action, cells.groups[group]), before);
      }
      continue;
    }
    for (uint32_t cell = 0; cell < count; ++cell) {
      if (kind == StepAction::Kind::kCompute) {
        last[cell] = add(cell, step.compute[cells.colors[cell]][action], waits[cell]);
        waits[cell].clear();
      } else if (const uint32_t group = cells.group_of[group_kind][cell]; group != kNone && collective[group] != kNone) {
        waits[cell].push_back(collective[group]);
      }
    }
  }
  for (uint32_t cell = 0; cell < count; ++cell) {
    if (!waits[cell].empty()) last[cell] = add(cell, 0, waits[cell]);
  }
  return last;
}

struct RankStepGraph {
  TaskGraph graph;
  std::vector<uint32_t> last_of_cell;
};

// For the static engine: the order on each stream becomes edges.
inline RankStepGraph StaticStep(const RankStep& step, const Cells& cells) {
  RankStepGraph result;
  std::vector<uint32_t> last(cells.colors.size() + cells.groups.size(), kNone);
  std::vector<uint32_t> before;
  result.last_of_cell = AddRankStep(step, cells, [&](uint32_t stream, int64_t duration, const std::vector<uint32_t>& predecessors) {
    before = predecessors;
    if (last[stream] != kNone) before.push_back(last[stream]);
    return last[stream] = AddTask(result.graph, duration, before);
  });
  return result;
}

// For the event engine; `share`, if given, says what resources a collective of a group uses, and its flow.
inline EventGraph EventStep(const RankStep& step, const Cells& cells, EventGraph graph = {},
                            const std::function<std::pair<int64_t, std::vector<ResourceUse>>(uint32_t group)>& share = {}) {
  const auto count = static_cast<uint32_t>(cells.colors.size());
  for (size_t i = 0; i < count + cells.groups.size(); ++i) AddStream(graph, StreamOrder::kInOrder);
  AddRankStep(step, cells, [&](uint32_t stream, int64_t duration, const std::vector<uint32_t>& predecessors) {
    EventTask task;
    task.work = duration;
    task.stream = stream;
    task.predecessors = predecessors;
    if (stream < count || !share) return AddTask(graph, task);
    const auto [flow, uses] = share(stream - count);
    task.flow = flow;
    task.uses = uses;
    return AddTask(graph, task);
  });
  return graph;
}

}  // namespace helm::sim
