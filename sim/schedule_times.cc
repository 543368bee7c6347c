#include "sim/schedule_times.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

namespace helm::sim {
namespace {

const ir::Program& ProgramOf(const ir::StepPrograms& step, const Task& task) { return step.classes[task.rank_class]; }

// Splits the idle time before a task by what the task waited for: first its launch, then the collectives that it ends, then other streams.
// Of a message only the transfer is communication; before it begins, the stage waits for the other one.
void AttributeGap(const ScheduleTimes& times, uint32_t task, int64_t idle_from, Breakdown& breakdown) {
  int64_t launched = idle_from;
  int64_t communicated = idle_from;
  int64_t transfer_start = idle_from;  // of the message that ends last
  int64_t transfer_end = idle_from;
  for (const uint32_t before : times.step_graph.graph.PredecessorsOf(task)) {
    const TaskKind kind = times.step_graph.tasks[before].kind;
    if (kind == TaskKind::kLaunch) launched = std::max(launched, times.finish[before]);
    if (kind == TaskKind::kCollective) communicated = std::max(communicated, times.finish[before]);
    if (kind == TaskKind::kTransfer && times.finish[before] > transfer_end) {
      transfer_start = times.StartOf(before);
      transfer_end = times.finish[before];
    }
  }
  communicated = std::max(communicated, launched);
  const int64_t begun = std::clamp(transfer_start, communicated, std::max(communicated, transfer_end));
  const int64_t transferred = std::max(communicated, transfer_end);
  breakdown.host += Duration::Picoseconds(launched - idle_from);
  breakdown.exposed_communication += Duration::Picoseconds(communicated - launched + transferred - begun);
  breakdown.bubble += Duration::Picoseconds(begun - communicated + times.StartOf(task) - transferred);
}

void AttributeTask(const ir::Program& program, const ScheduleTimes& times, uint32_t id, Breakdown& breakdown) {
  const Task& task = times.step_graph.tasks[id];
  const Duration duration = Duration::Picoseconds(times.step_graph.graph.durations[id]);
  switch (task.kind) {
    case TaskKind::kLaunch:
      breakdown.host += duration;
      break;
    case TaskKind::kCompute:
      (program.op(task.op).phase == ir::Phase::kOptimizer ? breakdown.optimizer : breakdown.compute) += duration;
      break;
    case TaskKind::kCollective:
    case TaskKind::kTransfer:
    case TaskKind::kWait:
      breakdown.exposed_communication += duration;
      break;
  }
}

Duration Total(const Breakdown& breakdown) {
  return breakdown.compute + breakdown.exposed_communication + breakdown.bubble + breakdown.optimizer + breakdown.host;
}

// `sum` divided by `count`; what the divisions cut off goes to `host`, so that the parts sum to the makespan.
Breakdown Divided(const Breakdown& sum, int64_t count, Duration makespan) {
  const auto mean = [count](Duration total) { return Duration::Picoseconds(total.picoseconds() / count); };
  Breakdown breakdown{mean(sum.compute), mean(sum.exposed_communication), mean(sum.bubble), mean(sum.optimizer), Duration()};
  breakdown.host = makespan - Total(breakdown);
  return breakdown;
}

Status Failed(const ir::StepPrograms& step, const ScheduleTimes& times, uint32_t task, const char* what) {
  const ir::Program& program = ProgramOf(step, times.step_graph.tasks[task]);
  const ir::OpId op = times.step_graph.tasks[task].op;
  return InternalError(
      fmt::format("simulation of '{}': {} at op {} ({} '{}')", program.name, what, op.value, program.op(op).target, program.op(op).label));
}

Status CheckOrder(const ir::StepPrograms& step, const ScheduleTimes& times) {
  for (uint32_t task = 0; task < times.finish.size(); ++task) {
    const int64_t start = times.StartOf(task);
    if (start < 0 || times.finish[task] > times.makespan) return Failed(step, times, task, "a time outside the step");
    for (const uint32_t before : times.step_graph.graph.PredecessorsOf(task)) {
      if (times.finish[before] > start) return Failed(step, times, task, "time goes back");
    }
  }
  return OkStatus();
}

Status CheckResources(const ir::StepPrograms& step, const ScheduleTimes& times, const ClassTasks& of_class) {
  for (const auto& tasks : of_class.tasks_by_resource) {
    int64_t free_at = 0;
    int64_t busy = 0;
    for (const uint32_t task : tasks) {
      if (times.StartOf(task) < free_at) return Failed(step, times, task, "two tasks at once on one stream");
      free_at = times.finish[task];
      busy += times.step_graph.graph.durations[task];
    }
    if (busy > times.makespan) return Failed(step, times, tasks.back(), "a stream busy for longer than the step");
  }
  return OkStatus();
}

Status CheckEveryOpOnce(const ir::Program& program, const ScheduleTimes& times, const ClassTasks& of_class) {
  std::vector<int> launches(program.ops.size(), 0);
  std::vector<int> runs(program.ops.size(), 0);
  for (const uint32_t id : of_class.tasks) {
    const Task& task = times.step_graph.tasks[id];
    ++(task.kind == TaskKind::kLaunch ? launches : runs)[task.op.index()];
  }
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const int expected_runs = program.ops[i].kind == ir::OpKind::kView ? 0 : 1;
    if (launches[i] == 1 && runs[i] == expected_runs) continue;
    return InternalError(fmt::format("simulation of '{}': op {} ({}) was launched {} times and ran {} times", program.name, i,
                                     program.ops[i].target, launches[i], runs[i]));
  }
  return OkStatus();
}

}  // namespace

ScheduleTimes Schedule(StepGraph step_graph) {
  ScheduleTimes times{std::move(step_graph), {}, 0};
  times.finish.resize(times.step_graph.graph.size());
  times.makespan = LongestPath(times.step_graph.graph, times.finish);
  return times;
}

Breakdown BreakdownOf(const ir::StepPrograms& step, const ScheduleTimes& times, size_t rank_class) {
  Breakdown sum;
  const ClassTasks& of_class = times.step_graph.classes[rank_class];
  for (const size_t resource : of_class.compute_resources) {
    int64_t idle_from = 0;
    for (const uint32_t task : of_class.tasks_by_resource[resource]) {
      AttributeGap(times, task, idle_from, sum);
      AttributeTask(step.classes[rank_class], times, task, sum);
      idle_from = times.finish[task];
    }
    // After the last wait only the host is still at work, or another compute stream, or another stage.
    const bool alone = of_class.compute_resources.size() == 1 && step.classes.size() == 1;
    (alone ? sum.host : sum.bubble) += Duration::Picoseconds(times.makespan - idle_from);
  }
  const auto count = static_cast<int64_t>(of_class.compute_resources.size());
  return count == 1 ? sum : Divided(sum, count, Duration::Picoseconds(times.makespan));
}

Breakdown MeanOf(const std::vector<Breakdown>& breakdowns, Duration makespan) {
  if (breakdowns.size() == 1) return breakdowns.front();
  Breakdown sum;
  for (const Breakdown& breakdown : breakdowns) {
    sum.compute += breakdown.compute;
    sum.exposed_communication += breakdown.exposed_communication;
    sum.bubble += breakdown.bubble;
    sum.optimizer += breakdown.optimizer;
  }
  return Divided(sum, static_cast<int64_t>(breakdowns.size()), makespan);
}

Status CheckSchedule(const ir::StepPrograms& step, const ScheduleTimes& times, const std::vector<uint32_t>& critical_path,
                     const std::vector<Breakdown>& breakdowns) {
  HELM_RETURN_IF_ERROR(CheckOrder(step, times));
  for (size_t c = 0; c < step.classes.size(); ++c) {
    HELM_RETURN_IF_ERROR(CheckResources(step, times, times.step_graph.classes[c]));
    HELM_RETURN_IF_ERROR(CheckEveryOpOnce(step.classes[c], times, times.step_graph.classes[c]));
  }
  int64_t path_length = 0;
  for (const uint32_t task : critical_path) path_length += times.step_graph.graph.durations[task];
  const std::string& name = step.classes.front().name;
  if (path_length != times.makespan) {
    return InternalError(
        fmt::format("simulation of '{}': the critical path takes {} ps, the step {} ps", name, path_length, times.makespan));
  }
  for (const Breakdown& breakdown : breakdowns) {
    if (Total(breakdown).picoseconds() == times.makespan) continue;
    return InternalError(fmt::format("simulation of '{}': the breakdown sums to {} ps, the step takes {} ps", name,
                                     Total(breakdown).picoseconds(), times.makespan));
  }
  return OkStatus();
}

void RecordEvents(const ir::StepPrograms& step, const ScheduleTimes& times, ir::Timeline& timeline) {
  const StepGraph& step_graph = times.step_graph;
  timeline.mesh = step.mesh();
  timeline.groups = step.classes.front().groups;
  timeline.streams = step_graph.streams;
  timeline.events.reserve(step_graph.tasks.size());
  for (size_t c = 0; c < step.classes.size(); ++c) {
    const auto rank = static_cast<int32_t>(RepresentativeRank(step, c));
    const size_t first_op = FirstOpOfClass(step, c);
    std::vector<int64_t> reached(step_graph.streams.size(), 0);  // by stream: when its last event ended
    int64_t launched = 0;
    for (const uint32_t id : step_graph.classes[c].tasks) {
      const Task& task = step_graph.tasks[id];
      if (task.kind == TaskKind::kLaunch) launched = times.finish[id];
      int64_t& stream_reached = reached[static_cast<size_t>(task.stream)];
      const int64_t start = task.kind == TaskKind::kWait ? std::max(stream_reached, launched) : times.StartOf(id);
      stream_reached = times.finish[id];
      timeline.events.push_back({rank, task.stream, ir::OpId(first_op + task.op.index()), Duration::Picoseconds(start),
                                 Duration::Picoseconds(times.finish[id] - start)});
    }
  }
}

}  // namespace helm::sim
