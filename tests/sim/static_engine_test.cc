#include "sim/static_engine.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace helm::sim {
namespace {

TaskGraph Make(const std::vector<std::pair<int64_t, std::vector<uint32_t>>>& tasks) {
  TaskGraph graph;
  for (const auto& [duration, predecessors] : tasks) AddTask(graph, duration, predecessors);
  return graph;
}

std::vector<int64_t> Finish(const TaskGraph& graph) {
  std::vector<int64_t> finish(graph.size());
  LongestPath(graph, finish);
  return finish;
}

TEST(StaticEngine, EmptyGraphTakesNoTime) {
  TaskGraph graph;
  EXPECT_EQ(LongestPath(graph, {}), 0);
  EXPECT_EQ(CriticalPath(graph, {}), std::vector<uint32_t>());
}

// A diamond with a stray task:
//
//   0 (1) --> 1 (10) ---> 3 (1000)      3 starts at max(1 + 10, 1 + 100) = 101, ends at 1101
//      \---> 2 (100) --/
//   4 (5)                               ends at 5
TEST(StaticEngine, TaskStartsWhenItsLastPredecessorEnds) {
  const TaskGraph graph = Make({{1, {}}, {10, {0}}, {100, {0}}, {1000, {1, 2}}, {5, {}}});
  const std::vector<int64_t> finish = Finish(graph);
  EXPECT_EQ(finish, (std::vector<int64_t>{1, 11, 101, 1101, 5}));
  EXPECT_EQ(CriticalPath(graph, finish), (std::vector<uint32_t>{0, 2, 3}));
}

// Tasks 1 and 2 both end at 11: the path goes through the lower number.
TEST(StaticEngine, TiesOfTheCriticalPathEndInTheLowestNumber) {
  const TaskGraph graph = Make({{1, {}}, {10, {0}}, {10, {0}}, {100, {2, 1}}, {100, {1}}});
  EXPECT_EQ(CriticalPath(graph, Finish(graph)), (std::vector<uint32_t>{0, 1, 3}));
}

TEST(StaticEngineDeathTest, PredecessorsMustComeFirst) {
  TaskGraph graph;
  const std::vector<uint32_t> itself = {0};
  EXPECT_DEATH(AddTask(graph, 1, itself), "a predecessor must come before the task");
}

// ---- Properties on random graphs.

TaskGraph RandomGraph() {
  const auto size = *rc::gen::inRange<uint32_t>(1, 60);
  TaskGraph graph;
  for (uint32_t task = 0; task < size; ++task) {
    std::vector<uint32_t> before;
    const auto count = task == 0 ? 0 : *rc::gen::inRange<int>(0, 4);
    for (int i = 0; i < count; ++i) before.push_back(*rc::gen::inRange<uint32_t>(0, task));
    AddTask(graph, *rc::gen::inRange<int64_t>(0, 1000), before);
  }
  return graph;
}

int64_t Makespan(const TaskGraph& graph) {
  std::vector<int64_t> finish(graph.size());
  return LongestPath(graph, finish);
}

RC_GTEST_PROP(StaticEngineProperty, CriticalPathSumsToTheMakespan, ()) {
  const TaskGraph graph = RandomGraph();
  const std::vector<int64_t> finish = Finish(graph);
  int64_t sum = 0;
  for (const uint32_t task : CriticalPath(graph, finish)) sum += graph.durations[task];
  RC_ASSERT(sum == *std::max_element(finish.begin(), finish.end()));
}

RC_GTEST_PROP(StaticEngineProperty, LongerTaskNeverShortensTheMakespan, ()) {
  TaskGraph graph = RandomGraph();
  const int64_t before = Makespan(graph);
  const auto task = *rc::gen::inRange<size_t>(0, graph.size());
  const auto longer = *rc::gen::inRange<int64_t>(0, 500);
  graph.durations[task] += longer;
  const int64_t after = Makespan(graph);
  RC_ASSERT(after >= before);
  RC_ASSERT(after <= before + longer);
}

RC_GTEST_PROP(StaticEngineProperty, MoreOrderNeverShortensTheMakespan, ()) {
  const TaskGraph graph = RandomGraph();
  TaskGraph stricter;
  for (uint32_t task = 0; task < graph.size(); ++task) {
    const auto before = graph.PredecessorsOf(task);
    std::vector<uint32_t> more(before.begin(), before.end());
    if (task > 0 && *rc::gen::arbitrary<bool>()) more.push_back(*rc::gen::inRange<uint32_t>(0, task));
    AddTask(stricter, graph.durations[task], more);
  }
  RC_ASSERT(Makespan(stricter) >= Makespan(graph));
}

// The same graph numbered in another topological order has the same finish times, task for task.
RC_GTEST_PROP(StaticEngineProperty, NumberingOfIndependentTasksDoesNotMatter, ()) {
  const TaskGraph graph = RandomGraph();
  std::vector<uint32_t> keys = *rc::gen::container<std::vector<uint32_t>>(graph.size(), rc::gen::arbitrary<uint32_t>());
  std::vector<uint32_t> number(graph.size());
  std::vector<bool> placed(graph.size(), false);
  TaskGraph renumbered;
  std::vector<uint32_t> order;
  while (order.size() < graph.size()) {  // of the tasks whose predecessors are placed, the one with the lowest key
    uint32_t best = static_cast<uint32_t>(graph.size());
    for (uint32_t task = 0; task < graph.size(); ++task) {
      const auto before = graph.PredecessorsOf(task);
      const bool ready = std::all_of(before.begin(), before.end(), [&](uint32_t other) { return placed[other]; });
      if (!placed[task] && ready && (best == graph.size() || keys[task] < keys[best])) best = task;
    }
    std::vector<uint32_t> before;
    for (const uint32_t other : graph.PredecessorsOf(best)) before.push_back(number[other]);
    number[best] = AddTask(renumbered, graph.durations[best], before);
    placed[best] = true;
    order.push_back(best);
  }
  const std::vector<int64_t> finish = Finish(graph);
  const std::vector<int64_t> renumbered_finish = Finish(renumbered);
  for (uint32_t task = 0; task < graph.size(); ++task) RC_ASSERT(finish[task] == renumbered_finish[number[task]]);
}

}  // namespace
}  // namespace helm::sim
