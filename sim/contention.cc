#include "sim/contention.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "core/check.h"
#include "sim/event_engine.h"
#include "sim/task_costs.h"

namespace helm::sim {
namespace {

// Kinds of task on a device.
enum Kind : uint32_t { kProduct, kMemoryBound, kInside, kNetwork, kKinds };

// Over several classes: both ends would have to slow down together.
bool IsAcrossClasses(const ir::StepPrograms& step, size_t rank_class, const ir::Op& op) {
  return ClassesOfGroup(step, rank_class, op.group).size() > 1;
}

bool IsShared(const ir::StepPrograms& step, const Task& task) {
  if (task.kind == TaskKind::kCompute) return true;
  if (task.kind != TaskKind::kCollective) return false;
  const ir::Program& program = step.classes[task.rank_class];
  return !ir::IsPointToPoint(program.op(task.op)) && !IsAcrossClasses(step, task.rank_class, program.op(task.op));
}

Rate RateOf(double loss) {
  constexpr double kLossMost = 0.9;
  return static_cast<Rate>(std::llround(static_cast<double>(kFullRate) * (1 - std::min(loss, kLossMost))));
}

// Rates by kind and the kinds beside it; losses add up.
Contention TableOf(const cost::OverlapLosses& losses) {
  Contention contention = NoContention(kKinds);
  for (uint32_t beside = 0; beside < (uint32_t{1} << kKinds); ++beside) {
    const auto has = [beside](Kind kind) { return (beside >> kind & 1) != 0; };
    std::array<double, kKinds> loss{};
    loss[kProduct] = (has(kInside) ? losses.inside.product : 0) + (has(kNetwork) ? losses.network.product : 0);
    loss[kMemoryBound] = (has(kInside) ? losses.inside.memory_bound : 0) + (has(kNetwork) ? losses.network.memory_bound : 0);
    loss[kInside] = loss[kNetwork] =
        std::max(has(kMemoryBound) ? losses.communication : 0, has(kProduct) ? losses.communication_beside_products : 0);
    for (uint32_t kind = 0; kind < kKinds; ++kind) contention.rates[kind << kKinds | beside] = RateOf(loss[kind]);
  }
  return contention;
}

// The event graph of a step: each class has a device, its links inside the node and its network cards.
class GraphMaker {
 public:
  GraphMaker(const ir::StepPrograms& step, const StepGraph& step_graph, const SimulationOptions& options, std::optional<size_t> as_class)
      : step_(step), step_graph_(step_graph), options_(options), as_class_(as_class) {}

  EventGraph Make() {
    const TaskGraph& graph = step_graph_.graph;
    events_.work = graph.durations;
    events_.predecessor_ends = graph.predecessor_ends;
    events_.predecessors = graph.predecessors;
    events_.streams.assign(graph.size(), kNone);
    events_.shared.assign(graph.size(), kNone);
    const std::vector<cost::OverlapLosses>& losses = options_.overlap_losses_of_class;
    if (losses.empty()) AddContention(events_, TableOf(options_.overlap_losses));
    for (const cost::OverlapLosses& of_class : losses) AddContention(events_, TableOf(of_class));
    for (size_t c = 0; c < step_.classes.size(); ++c) {
      AddDevice(events_, losses.empty() ? 0 : static_cast<uint32_t>(as_class_.value_or(c)));
      for (int link = 0; link < 2; ++link) AddResource(events_, kLinkCapacity);
    }
    for (uint32_t task = 0; task < graph.size(); ++task) Share(task);
    return std::move(events_);
  }

 private:
  static constexpr int64_t kLinkCapacity = 1;  // every collective alone takes all of it

  void Share(uint32_t id) {
    const Task& task = step_graph_.tasks[id];
    if (events_.work[id] == 0 || !IsShared(step_, task)) return;
    const ir::Program& program = step_.classes[task.rank_class];
    const ir::Op& op = program.op(task.op);
    Sharing sharing{.flow = 1, .uses_begin = static_cast<uint32_t>(events_.uses.size()), .device = task.rank_class};
    if (task.kind == TaskKind::kCompute) {
      sharing.kind = cost::IsProduct(op.target) ? kProduct : kMemoryBound;
    } else {
      sharing.kind = IsInside(task.rank_class, program, op) ? kInside : kNetwork;
      // On a CPU what groups take from each other is in their prices or not at all.
      const bool has_links = program.device == ir::DeviceKind::kCuda;
      if (has_links && ir::CollectiveBytes(program, op).count() >= kLatencyBytes) {
        events_.uses.push_back({2 * task.rank_class + (sharing.kind == kNetwork ? 1 : 0), 1});
      }
    }
    sharing.uses_end = static_cast<uint32_t>(events_.uses.size());
    events_.shared[id] = static_cast<uint32_t>(events_.sharing.size());
    events_.sharing.push_back(sharing);
  }

  bool IsInside(uint32_t rank_class, const ir::Program& program, const ir::Op& op) {
    const auto [known, added] = inside_.try_emplace({rank_class, op.group.index()});
    if (added) {
      const int64_t rank = RepresentativeRank(step_, as_class_.value_or(rank_class));
      const auto placements = PlacementsOf(program, op, rank, options_.layout);
      known->second = std::ranges::all_of(placements, [](const cluster::GroupPlacement& placement) { return placement.nodes == 1; });
    }
    return known->second;
  }

  const ir::StepPrograms& step_;
  const StepGraph& step_graph_;
  const SimulationOptions& options_;
  const std::optional<size_t> as_class_;
  EventGraph events_;
  std::map<std::pair<uint32_t, size_t>, bool> inside_;  // by class and group
};

// Whether a task of the one list, in order of time, runs while one of the other does.
bool Overlap(const std::vector<std::pair<int64_t, int64_t>>& a, const std::vector<std::pair<int64_t, int64_t>>& b) {
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (std::max(a[i].first, b[j].first) < std::min(a[i].second, b[j].second)) return true;
    a[i].second < b[j].second ? ++i : ++j;
  }
  return false;
}

}  // namespace

bool Contends(const ir::StepPrograms& step, const SimulationOptions& options) {
  const auto measured = [](const cost::OverlapLosses& losses) { return losses.measured_pairs > 0; };
  return options.engine != Engine::kStatic && (step.classes.front().device == ir::DeviceKind::kCuda || measured(options.overlap_losses) ||
                                               std::ranges::any_of(options.overlap_losses_of_class, measured));
}

bool AnyOverlap(const ir::StepPrograms& step, const StepGraph& step_graph, const std::vector<int64_t>& finish) {
  for (const ClassTasks& of_class : step_graph.classes) {
    std::vector<std::vector<std::pair<int64_t, int64_t>>> rows;  // intervals of tasks that share, by resource
    std::vector<bool> communicates;
    for (const std::vector<uint32_t>& tasks : of_class.tasks_by_resource) {
      auto& row = rows.emplace_back();
      bool collective = false;
      for (const uint32_t id : tasks) {
        const int64_t duration = step_graph.graph.durations[id];
        if (duration == 0 || !IsShared(step, step_graph.tasks[id])) continue;
        row.emplace_back(finish[id] - duration, finish[id]);
        collective = collective || step_graph.tasks[id].kind == TaskKind::kCollective;
      }
      communicates.push_back(collective);
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if ((communicates[i] || communicates[j]) && Overlap(rows[i], rows[j])) return true;
      }
    }
  }
  return false;
}

Status ApplyContention(const ir::StepPrograms& step, const SimulationOptions& options, StepGraph& step_graph,
                       std::optional<size_t> as_class) {
  const EventGraph graph = GraphMaker(step, step_graph, options, as_class).Make();
  const auto name_of = [&](uint32_t id) {
    const Task& task = step_graph.tasks[id];
    return Describe(step.classes[task.rank_class], task.op);
  };
  HELM_ASSIGN_OR_RETURN(const EventTimes times, SimulateEvents(graph, {.name_of = name_of, .cancellation = options.cancellation}));
  for (size_t task = 0; task < graph.size(); ++task) step_graph.graph.durations[task] = times.finish[task] - times.start[task];
  return OkStatus();
}

}  // namespace helm::sim
