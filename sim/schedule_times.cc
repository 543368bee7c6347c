#include "sim/schedule_times.h"

#include <algorithm>

#include <fmt/format.h>

namespace helm::sim {
namespace {

// Splits the idle time before a task by what the task waited for: first its launch, then the collectives that it ends, then other streams.
void AttributeGap(const ScheduleTimes& times, uint32_t task, int64_t idle_from, Breakdown& breakdown) {
  int64_t launched = idle_from;
  int64_t communicated = idle_from;
  for (const uint32_t before : times.program_graph.graph.PredecessorsOf(task)) {
    const TaskKind kind = times.program_graph.tasks[before].kind;
    if (kind == TaskKind::kLaunch) launched = std::max(launched, times.finish[before]);
    if (kind == TaskKind::kCollective) communicated = std::max(communicated, times.finish[before]);
  }
  communicated = std::max(communicated, launched);
  breakdown.host += Duration::Picoseconds(launched - idle_from);
  breakdown.exposed_communication += Duration::Picoseconds(communicated - launched);
  breakdown.bubble += Duration::Picoseconds(times.StartOf(task) - communicated);
}

void AttributeTask(const ir::Program& program, const ScheduleTimes& times, uint32_t id, Breakdown& breakdown) {
  const Task& task = times.program_graph.tasks[id];
  const Duration duration = Duration::Picoseconds(times.program_graph.graph.durations[id]);
  switch (task.kind) {
    case TaskKind::kLaunch:
      breakdown.host += duration;
      break;
    case TaskKind::kCompute:
      (program.op(task.op).phase == ir::Phase::kOptimizer ? breakdown.optimizer : breakdown.compute) += duration;
      break;
    case TaskKind::kCollective:
    case TaskKind::kWait:
      breakdown.exposed_communication += duration;
      break;
  }
}

Duration Total(const Breakdown& breakdown) {
  return breakdown.compute + breakdown.exposed_communication + breakdown.bubble + breakdown.optimizer + breakdown.host;
}

Status Failed(const ir::Program& program, const ScheduleTimes& times, uint32_t task, const char* what) {
  const ir::OpId op = times.program_graph.tasks[task].op;
  return InternalError(
      fmt::format("simulation of '{}': {} at op {} ({} '{}')", program.name, what, op.value, program.op(op).target, program.op(op).label));
}

Status CheckOrder(const ir::Program& program, const ScheduleTimes& times) {
  for (uint32_t task = 0; task < times.finish.size(); ++task) {
    const int64_t start = times.StartOf(task);
    if (start < 0 || times.finish[task] > times.makespan) return Failed(program, times, task, "a time outside the step");
    for (const uint32_t before : times.program_graph.graph.PredecessorsOf(task)) {
      if (times.finish[before] > start) return Failed(program, times, task, "time goes back");
    }
  }
  for (const auto& tasks : times.program_graph.tasks_by_resource) {
    int64_t free_at = 0;
    int64_t busy = 0;
    for (const uint32_t task : tasks) {
      if (times.StartOf(task) < free_at) return Failed(program, times, task, "two tasks at once on one stream");
      free_at = times.finish[task];
      busy += times.program_graph.graph.durations[task];
    }
    if (busy > times.makespan) return Failed(program, times, tasks.back(), "a stream busy for longer than the step");
  }
  return OkStatus();
}

Status CheckEveryOpOnce(const ir::Program& program, const ScheduleTimes& times) {
  std::vector<int> launches(program.ops.size(), 0);
  std::vector<int> runs(program.ops.size(), 0);
  for (const Task& task : times.program_graph.tasks) ++(task.kind == TaskKind::kLaunch ? launches : runs)[task.op.index()];
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const int expected_runs = program.ops[i].kind == ir::OpKind::kView ? 0 : 1;
    if (launches[i] == 1 && runs[i] == expected_runs) continue;
    return InternalError(fmt::format("simulation of '{}': op {} ({}) was launched {} times and ran {} times", program.name, i,
                                     program.ops[i].target, launches[i], runs[i]));
  }
  return OkStatus();
}

}  // namespace

ScheduleTimes Schedule(ProgramGraph program_graph) {
  ScheduleTimes times{std::move(program_graph), {}, 0};
  times.finish.resize(times.program_graph.graph.size());
  times.makespan = LongestPath(times.program_graph.graph, times.finish);
  return times;
}

Breakdown BreakdownOf(const ir::Program& program, const ScheduleTimes& times) {
  Breakdown sum;
  const auto& resources = times.program_graph.compute_resources;
  for (const size_t resource : resources) {
    int64_t idle_from = 0;
    for (const uint32_t task : times.program_graph.tasks_by_resource[resource]) {
      AttributeGap(times, task, idle_from, sum);
      AttributeTask(program, times, task, sum);
      idle_from = times.finish[task];
    }
    // After the last wait only the host is still at work, or another compute stream.
    (resources.size() == 1 ? sum.host : sum.bubble) += Duration::Picoseconds(times.makespan - idle_from);
  }
  if (resources.size() == 1) return sum;
  const auto count = static_cast<int64_t>(resources.size());
  const auto mean = [count](Duration total) { return Duration::Picoseconds(total.picoseconds() / count); };
  Breakdown breakdown{mean(sum.compute), mean(sum.exposed_communication), mean(sum.bubble), mean(sum.optimizer), Duration()};
  breakdown.host = Duration::Picoseconds(times.makespan) - Total(breakdown);  // with what the divisions cut off
  return breakdown;
}

Status CheckSchedule(const ir::Program& program, const ScheduleTimes& times, const std::vector<uint32_t>& critical_path,
                     const Breakdown& breakdown) {
  HELM_RETURN_IF_ERROR(CheckOrder(program, times));
  HELM_RETURN_IF_ERROR(CheckEveryOpOnce(program, times));
  int64_t path_length = 0;
  for (const uint32_t task : critical_path) path_length += times.program_graph.graph.durations[task];
  if (path_length != times.makespan) {
    return InternalError(
        fmt::format("simulation of '{}': the critical path takes {} ps, the step {} ps", program.name, path_length, times.makespan));
  }
  if (Total(breakdown).picoseconds() != times.makespan) {
    return InternalError(fmt::format("simulation of '{}': the breakdown sums to {} ps, the step takes {} ps", program.name,
                                     Total(breakdown).picoseconds(), times.makespan));
  }
  return OkStatus();
}

void RecordEvents(const ScheduleTimes& times, ir::Timeline& timeline) {
  const ProgramGraph& program_graph = times.program_graph;
  timeline.streams = program_graph.streams;
  timeline.events.reserve(program_graph.tasks.size());
  std::vector<int64_t> reached(program_graph.streams.size(), 0);  // by stream: when its last event ended
  int64_t launched = 0;
  for (uint32_t id = 0; id < program_graph.tasks.size(); ++id) {
    const Task& task = program_graph.tasks[id];
    if (task.kind == TaskKind::kLaunch) launched = times.finish[id];
    int64_t& stream_reached = reached[static_cast<size_t>(task.stream)];
    const int64_t start = task.kind == TaskKind::kWait ? std::max(stream_reached, launched) : times.StartOf(id);
    stream_reached = times.finish[id];
    timeline.events.push_back({0, task.stream, task.op, Duration::Picoseconds(start), Duration::Picoseconds(times.finish[id] - start)});
  }
}

}  // namespace helm::sim
