#include "sim/static_engine.h"

#include <algorithm>
#include <limits>

#include "core/check.h"

namespace helm::sim {

std::span<const uint32_t> TaskGraph::PredecessorsOf(size_t task) const {
  const uint32_t begin = task == 0 ? 0 : predecessor_ends[task - 1];
  return {predecessors.data() + begin, predecessor_ends[task] - begin};
}

uint32_t AddTask(TaskGraph& graph, int64_t duration, std::span<const uint32_t> predecessors) {
  const size_t task = graph.size();
  HELM_CHECK(duration >= 0, "a task cannot take negative time");
  HELM_CHECK(task < std::numeric_limits<uint32_t>::max(), "task numbers have 32 bits");
  for (const uint32_t predecessor : predecessors) HELM_CHECK(predecessor < task, "a predecessor must come before the task");
  graph.durations.push_back(duration);
  graph.predecessors.insert(graph.predecessors.end(), predecessors.begin(), predecessors.end());
  HELM_CHECK(graph.predecessors.size() <= std::numeric_limits<uint32_t>::max(), "offsets of predecessors have 32 bits");
  graph.predecessor_ends.push_back(static_cast<uint32_t>(graph.predecessors.size()));
  return static_cast<uint32_t>(task);
}

int64_t LongestPath(const TaskGraph& graph, std::span<int64_t> finish) {
  HELM_CHECK(finish.size() == graph.size(), "one finish time for each task");
  const size_t count = graph.size();
  const int64_t* duration = graph.durations.data();
  const uint32_t* end = graph.predecessor_ends.data();
  const uint32_t* next = graph.predecessors.data();
  const uint32_t* const first = next;
  int64_t* const out = finish.data();
  int64_t makespan = 0;
  for (size_t task = 0; task < count; ++task) {
    int64_t start = 0;
    for (const uint32_t* const last = first + end[task]; next != last; ++next) start = std::max(start, out[*next]);
    const int64_t finished = start + duration[task];
    out[task] = finished;
    makespan = std::max(makespan, finished);
  }
  return makespan;
}

std::vector<uint32_t> CriticalPath(const TaskGraph& graph, std::span<const int64_t> finish) {
  HELM_CHECK(finish.size() == graph.size(), "one finish time for each task");
  if (finish.empty()) return {};
  std::vector<uint32_t> path = {static_cast<uint32_t>(std::max_element(finish.begin(), finish.end()) - finish.begin())};
  for (auto before = graph.PredecessorsOf(path.back()); !before.empty(); before = graph.PredecessorsOf(path.back())) {
    uint32_t latest = before.front();
    for (const uint32_t candidate : before) {
      if (finish[candidate] > finish[latest] || (finish[candidate] == finish[latest] && candidate < latest)) latest = candidate;
    }
    path.push_back(latest);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

}  // namespace helm::sim
