#include "sim/simulate.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "sim/memory.h"
#include "sim/program_graph.h"
#include "sim/schedule_times.h"
#include "sim/task_costs.h"

namespace helm::sim {
namespace {

Status CheckSupported(const ir::Program& program) {
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    if (op.target != "c10d.send" && op.target != "c10d.recv") continue;
    return UnavailableError(fmt::format(
        "error: program '{}', op {} ({}): the time of a point-to-point op depends on the other stage's program, and only one is simulated; "
        "set pipeline: 1",
        program.name, i, op.target));
  }
  return OkStatus();
}

SourceShares SharesOf(const ir::Program& program, const TaskCosts& costs) {
  std::array<int64_t, 3> time{};  // picoseconds, by source
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::OpKind kind = program.ops[i].kind;
    if (kind != ir::OpKind::kCompute && kind != ir::OpKind::kCollectiveStart) continue;
    time[static_cast<size_t>(costs.ops[i].source)] += costs.ops[i].duration.picoseconds();
  }
  const auto total = static_cast<double>(time[0] + time[1] + time[2]);
  if (total == 0) return {};
  const auto share = [&](cost::Source source) { return static_cast<double>(time[static_cast<size_t>(source)]) / total; };
  return {share(cost::Source::kMeasured), share(cost::Source::kInterpolated), share(cost::Source::kAnalytic)};
}

// Tasks to ops: an op whose launch and work both lie on the path is named once.
std::vector<ir::OpId> OpsOf(const ScheduleTimes& times, const std::vector<uint32_t>& path) {
  std::vector<ir::OpId> ops;
  for (const uint32_t task : path) {
    const ir::OpId op = times.program_graph.tasks[task].op;
    if (ops.empty() || ops.back() != op) ops.push_back(op);
  }
  return ops;
}

// A sample at each launch at which the number of live bytes changes.
void RecordMemory(const ScheduleTimes& times, const MemoryProfile& memory, ir::Timeline& timeline) {
  for (uint32_t id = 0; id < times.program_graph.tasks.size(); ++id) {
    const Task& task = times.program_graph.tasks[id];
    if (task.kind != TaskKind::kLaunch) continue;
    const BytesByRole& live = memory.live_at_op[task.op.index()];
    if (!timeline.memory.empty() && timeline.memory.back().bytes == live) continue;
    timeline.memory.push_back({0, task.op, Duration::Picoseconds(times.StartOf(id)), live});
  }
}

ir::Timeline TimelineOf(const ir::Program& program, const TaskCosts& costs, const ScheduleTimes& times, const MemoryProfile& memory) {
  ir::Timeline timeline;
  timeline.title = "predicted";
  timeline.makespan = Duration::Picoseconds(times.makespan);
  std::vector<std::string> sources;
  sources.reserve(costs.ops.size());
  for (const cost::Estimate& estimate : costs.ops) sources.emplace_back(cost::Name(estimate.source));
  timeline.ops = ir::TimelineOps(program, sources);
  RecordEvents(times, timeline);
  RecordMemory(times, memory, timeline);
  timeline.ranks = {{0, timeline.makespan, memory.peak.bytes}};
  return timeline;
}

}  // namespace

Result<Simulation> Simulate(const ir::Program& program, const cost::Estimator& estimator, const SimulationOptions& options) {
  HELM_RETURN_IF_ERROR(CheckSupported(program));
  HELM_ASSIGN_OR_RETURN(const TaskCosts costs, PriceOps(program, estimator, options.ranks_per_node));
  const ScheduleTimes times = Schedule(BuildProgramGraph(program, costs, options.communication_shares_cores));
  HELM_ASSIGN_OR_RETURN(MemoryProfile memory, TrackMemory(program, costs, options.record_timeline));
  const std::vector<uint32_t> path = CriticalPath(times.program_graph.graph, times.finish);
  Simulation simulation;
  simulation.breakdown = BreakdownOf(program, times);
  HELM_RETURN_IF_ERROR(CheckSchedule(program, times, path, simulation.breakdown));
  simulation.makespan = Duration::Picoseconds(times.makespan);
  simulation.shares = SharesOf(program, costs);
  simulation.critical_path = OpsOf(times, path);
  if (options.record_timeline) simulation.timeline = TimelineOf(program, costs, times, memory);
  simulation.peak = std::move(memory.peak);
  return simulation;
}

}  // namespace helm::sim
