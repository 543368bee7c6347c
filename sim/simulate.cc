#include "sim/simulate.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "core/check.h"
#include "sim/contention.h"
#include "sim/memory.h"
#include "sim/schedule_times.h"
#include "sim/step_graph.h"
#include "sim/task_costs.h"

namespace helm::sim {
namespace {

SourceShares SharesOfStep(const ir::StepPrograms& step, const std::vector<TaskCosts>& costs) {
  std::array<int64_t, 3> time{};  // picoseconds, by source
  for (size_t c = 0; c < step.classes.size(); ++c) {
    for (size_t i = 0; i < step.classes[c].ops.size(); ++i) {
      const ir::OpKind kind = step.classes[c].ops[i].kind;
      if (kind != ir::OpKind::kCompute && kind != ir::OpKind::kCollectiveStart) continue;
      time[static_cast<size_t>(costs[c].ops[i].source)] += costs[c].ops[i].duration.picoseconds();
    }
  }
  return SharesOf(time);
}

// Tasks to ops: an op whose launch and work both lie on the path is named once.
std::vector<ir::OpId> OpsOf(const ir::StepPrograms& step, const ScheduleTimes& times, const std::vector<uint32_t>& path) {
  std::vector<ir::OpId> ops;
  for (const uint32_t id : path) {
    const Task& task = times.step_graph.tasks[id];
    const ir::OpId op(FirstOpOfClass(step, task.rank_class) + task.op.index());
    if (ops.empty() || ops.back() != op) ops.push_back(op);
  }
  return ops;
}

// A sample at each launch at which the number of live bytes changes.
void RecordMemory(const ir::StepPrograms& step, const ScheduleTimes& times, size_t rank_class, const MemoryProfile& memory,
                  ir::Timeline& timeline) {
  const auto rank = static_cast<int32_t>(RepresentativeRank(step, rank_class));
  const size_t first_op = FirstOpOfClass(step, rank_class);
  const BytesByRole* last = nullptr;
  for (const uint32_t id : times.step_graph.classes[rank_class].tasks) {
    const Task& task = times.step_graph.tasks[id];
    if (task.kind != TaskKind::kLaunch) continue;
    const BytesByRole& live = memory.live_at_op[task.op.index()];
    if (last != nullptr && *last == live) continue;
    last = &live;
    timeline.memory.push_back({rank, ir::OpId(first_op + task.op.index()), Duration::Picoseconds(times.StartOf(id)), live});
  }
}

ir::Timeline TimelineOf(const ir::StepPrograms& step, const std::vector<TaskCosts>& costs, const ScheduleTimes& times,
                        const std::vector<MemoryProfile>& memory) {
  ir::Timeline timeline;
  timeline.title = "predicted";
  timeline.makespan = Duration::Picoseconds(times.makespan);
  RecordEvents(step, times, timeline);
  for (size_t c = 0; c < step.classes.size(); ++c) {
    std::vector<std::string> sources;
    sources.reserve(costs[c].ops.size());
    for (const cost::Estimate& estimate : costs[c].ops) sources.emplace_back(cost::Name(estimate.source));
    const std::vector<ir::TimelineOp> ops = ir::TimelineOps(step.classes[c], sources);
    timeline.ops.insert(timeline.ops.end(), ops.begin(), ops.end());
    RecordMemory(step, times, c, memory[c], timeline);
    timeline.ranks.push_back({static_cast<int32_t>(RepresentativeRank(step, c)), timeline.makespan, memory[c].peak.bytes});
  }
  return timeline;
}

Result<ScheduleTimes> TimesWith(const SimulationOptions& options, const ir::StepPrograms& step, StepGraph step_graph) {
  ScheduleTimes times = Schedule(std::move(step_graph));
  if (!Contends(step, options) || (options.engine == Engine::kAutomatic && !AnyOverlap(step, times.step_graph, times.finish))) return times;
  HELM_RETURN_IF_ERROR(ApplyContention(step, options, times.step_graph));
  return Schedule(std::move(times.step_graph));
}

// Times are whole picoseconds in 64 bits, which end after 107 days; beyond, a price has wrapped to something negative already.
Status CheckRange(const ir::StepPrograms& step, const std::vector<TaskCosts>& costs) {
  constexpr double kMost = 9e18;  // picoseconds
  double total = 0;
  for (size_t c = 0; c < step.classes.size(); ++c) {
    for (size_t i = 0; i < step.classes[c].ops.size(); ++i) {
      const auto duration = static_cast<double>(costs[c].ops[i].duration.picoseconds());
      total += duration;
      if (duration >= 0 && total <= kMost) continue;
      const ir::Op& op = step.classes[c].ops[i];
      return InvalidError(
          fmt::format("error: the step takes more than {:.0f} days, at op {} ({} '{}') at the latest; that is beyond what is simulated\n"
                      "  fix: workload.global_batch counts sequences, not tokens; ask for fewer or shorter ones",
                      kMost / 1e12 / 86400, i, op.target, op.label));
    }
  }
  return OkStatus();
}

}  // namespace

bool LeavesLess(const SimulationOptions& options, const MemoryPeak& first, const MemoryPeak& second) {
  const auto left = [&](const MemoryPeak& peak) {
    return (options.memory_of_class.empty() ? Bytes() : options.memory_of_class[peak.rank_class]) - peak.bytes;
  };
  return left(first) < left(second);
}

SourceShares SharesOf(const std::array<int64_t, 3>& time) {
  const auto total = static_cast<double>(time[0] + time[1] + time[2]);
  if (total == 0) return {};
  const auto share = [&](cost::Source source) { return static_cast<double>(time[static_cast<size_t>(source)]) / total; };
  return {share(cost::Source::kMeasured), share(cost::Source::kInterpolated), share(cost::Source::kAnalytic)};
}

Result<Simulation> Simulate(const ir::StepPrograms& step, const cost::Estimator& estimator, const SimulationOptions& options) {
  PriceBook prices(estimator, options.layout);
  return Simulate(step, prices, options);
}

Result<Simulation> Simulate(const ir::StepPrograms& step, PriceBook& prices, const SimulationOptions& options) {
  HELM_CHECK(prices.layout() == options.layout, "prices of the same placement of ranks");
  HELM_ASSIGN_OR_RETURN(std::vector<TaskCosts> costs, PriceStep(step, prices, options.cancellation));
  for (size_t c = 0; c < costs.size(); ++c) AddWaitsForRanks(step.classes[c], costs[c]);
  HELM_RETURN_IF_ERROR(CheckRange(step, costs));
  HELM_ASSIGN_OR_RETURN(StepGraph step_graph, BuildStepGraph(step, costs, options.communication_shares_cores, options.cancellation));
  HELM_ASSIGN_OR_RETURN(const ScheduleTimes times, TimesWith(options, step, std::move(step_graph)));
  Simulation simulation;
  std::vector<MemoryProfile> memory;
  for (size_t c = 0; c < step.classes.size(); ++c) {
    HELM_RETURN_IF_ERROR(options.cancellation.Check());
    HELM_ASSIGN_OR_RETURN(memory.emplace_back(), TrackMemory(step.classes[c], costs[c], options.record_timeline));
    memory[c].peak.rank_class = c;
    if (c == 0 || LeavesLess(options, memory[c].peak, simulation.peak)) simulation.peak = memory[c].peak;
    simulation.peak_of_class.push_back(memory[c].peak.bytes);
    simulation.breakdown_of_class.push_back(BreakdownOf(step, times, c));
  }
  const std::vector<uint32_t> path = CriticalPath(times.step_graph.graph, times.finish);
  HELM_RETURN_IF_ERROR(options.cancellation.Check());
  HELM_RETURN_IF_ERROR(CheckSchedule(step, times, path, simulation.breakdown_of_class));

  simulation.makespan = Duration::Picoseconds(times.makespan);
  simulation.breakdown = MeanOf(simulation.breakdown_of_class, simulation.makespan);
  simulation.shares = SharesOfStep(step, costs);
  simulation.critical_path = OpsOf(step, times, path);
  if (options.record_timeline) simulation.timeline = TimelineOf(step, costs, times, memory);
  return simulation;
}

}  // namespace helm::sim
