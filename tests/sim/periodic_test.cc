#include "sim/periodic.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "support/pipeline_graph.h"

namespace helm::sim {
namespace {

// Every finish time of the jump is that of the graph written out, and so is the makespan.
void ExpectEqualsUnrolled(const PeriodicGraph& graph) {
  const PeriodicTimes times = SimulatePeriodic(graph);
  const TaskGraph unrolled = Unroll(graph);
  std::vector<int64_t> finish(unrolled.size());
  RC_ASSERT(times.makespan == LongestPath(unrolled, finish));
  std::vector<int64_t> all = times.prologue;
  for (int64_t repeat = 0; repeat < graph.repeats; ++repeat) {
    for (size_t task = 0; task < graph.period.size(); ++task) all.push_back(times.FinishAt(repeat, task));
  }
  all.insert(all.end(), times.epilogue.begin(), times.epilogue.end());
  RC_ASSERT(all == finish);
}

// A stream that takes 5 a repeat behind a prologue of 3; the epilogue adds 2. Repeat r ends at 3 + 5 (r + 1). After two repeats the
// increments have been seen twice (5 and 5): one cycle more is computed to prove it, the rest jumped over.
TEST(Periodic, OneStream) {
  PeriodicGraph graph;
  AddTask(graph.prologue, 3, {});
  AddTask(graph.period, 5, std::vector<PeriodicPredecessor>{{0, 1}});
  graph.stand_ins = {{0}};
  graph.repeats = 1000000000000;
  AddTask(graph.epilogue, 2, std::vector<PeriodicPredecessor>{{0, 1}});
  const PeriodicTimes times = SimulatePeriodic(graph);
  EXPECT_EQ(times.makespan, 3 + 5 * graph.repeats + 2);
  EXPECT_EQ(times.cycle_repeats, 1);
  EXPECT_LE(times.simulated_repeats, 5);
  EXPECT_EQ(times.FinishAt(777777, 0), 3 + 5 * int64_t{777778});
}

// Two streams that never wait for each other, 5 and 7 a repeat, and a task that waits for neither: each grows at its own pace. The faster
// one starts 100 late, behind a prologue; the epilogue waits for both. After 30 repeats: max(100 + 5 x 30, 7 x 30) = 250; after 1000: 7000.
// The task that takes both in each repeat would change its winner at repeat 50: the jump has to wait until then.
TEST(Periodic, PartsMayGrowAtDifferentPaces) {
  for (const bool joined : {false, true}) {
    PeriodicGraph graph;
    AddTask(graph.prologue, 100, {});
    AddTask(graph.period, 5, std::vector<PeriodicPredecessor>{{0, 1}});
    AddTask(graph.period, 7, std::vector<PeriodicPredecessor>{{1, 1}});
    AddTask(graph.period, 1, {});
    if (joined) AddTask(graph.period, 1, std::vector<PeriodicPredecessor>{{0, 0}, {1, 0}});
    graph.stand_ins = {std::vector<uint32_t>(graph.period.size(), kNoStandIn)};
    graph.stand_ins[0][0] = 0;
    AddTask(graph.epilogue, 0, std::vector<PeriodicPredecessor>{{0, 1}, {1, 1}});
    graph.repeats = 30;
    EXPECT_EQ(SimulatePeriodic(graph).epilogue[0], 250);
    graph.repeats = 1000;
    const PeriodicTimes times = SimulatePeriodic(graph);
    EXPECT_EQ(times.epilogue[0], 7000);
    EXPECT_GT(times.cycle_repeats, 0);
    if (joined) {
      EXPECT_GE(times.simulated_repeats, 50);
      EXPECT_LE(times.simulated_repeats, 60);
    } else {
      EXPECT_LE(times.simulated_repeats, 5);
    }
  }
}

TEST(Periodic, NoRepeatsAndEmptyParts) {
  PeriodicGraph graph;
  EXPECT_EQ(SimulatePeriodic(graph).makespan, 0);
  AddTask(graph.prologue, 9, {});
  AddTask(graph.period, 5, std::vector<PeriodicPredecessor>{{0, 1}});
  AddTask(graph.epilogue, 1, std::vector<PeriodicPredecessor>{{0, 1}, {0, kOfPrologue}});
  graph.stand_ins = {{0}};
  EXPECT_EQ(SimulatePeriodic(graph).makespan, 10);
}

// Equal stages without transfers: (m + p - 1)(F + B), the closed form of 1F1B (techniques.md 3.1).
TEST(Periodic, OneForwardOneBackwardOfEqualStages) {
  for (const int64_t stages : {1, 2, 4, 8}) {
    const PipelineTimes times{std::vector<int64_t>(stages, 100), std::vector<int64_t>(stages, 200), 0};
    for (const int64_t micro_batches : {stages, stages + 1, 4 * stages, int64_t{1000000000}}) {
      const PeriodicTimes result = SimulatePeriodic(OneForwardOneBackward(times, micro_batches));
      EXPECT_EQ(result.makespan, (micro_batches + stages - 1) * 300) << stages << " stages, " << micro_batches << " micro-batches";
      EXPECT_LE(result.simulated_repeats, 40);
    }
  }
}

// 1F1B written out from each stage's list of actions, independently of OneForwardOneBackward.
int64_t WrittenOut(const PipelineTimes& times, int64_t micro_batches) {
  const auto stages = static_cast<int64_t>(times.forward.size());
  constexpr int64_t kOpen = -1;
  const std::vector<int64_t> all_open(micro_batches, kOpen);
  std::vector<std::vector<int64_t>> forward(stages, all_open), backward(stages, all_open);  // when their results have arrived
  std::vector<int64_t> free(stages, 0), link_up(stages, 0), link_down(stages, 0), next(stages, 0);
  int64_t makespan = 0;
  for (bool progress = true; progress;) {
    progress = false;
    for (int64_t stage = 0; stage < stages; ++stage) {
      const int64_t warm_up = stages - 1 - stage;
      while (next[stage] < 2 * micro_batches) {
        const int64_t action = next[stage];
        const int64_t steady = action - warm_up;
        const bool is_forward = action < warm_up || (steady % 2 == 0 && action < 2 * micro_batches - warm_up);
        const int64_t before_it = action < warm_up                       ? action
                                  : action < 2 * micro_batches - warm_up ? warm_up + (steady + 1) / 2
                                                                         : micro_batches;
        const int64_t micro_batch = is_forward ? before_it : action - before_it;  // forwards, or backwards, before this action
        const int64_t arrived =
            is_forward ? (stage == 0 ? 0 : forward[stage - 1][micro_batch]) : (stage + 1 == stages ? 0 : backward[stage + 1][micro_batch]);
        if (arrived == kOpen) break;
        free[stage] = std::max(free[stage], arrived) + (is_forward ? times.forward : times.backward)[stage];
        int64_t& link = (is_forward ? link_up : link_down)[stage];
        link = std::max(link, free[stage]) + times.transfer;
        (is_forward ? forward : backward)[stage][micro_batch] = link;
        makespan = std::max(makespan, link);
        ++next[stage];
        progress = true;
      }
    }
  }
  return makespan;
}

RC_GTEST_PROP(PeriodicProperty, OneForwardOneBackwardEqualsTheScheduleWrittenOut, ()) {
  const auto stages = *rc::gen::inRange<size_t>(1, 7);
  const auto micro_batches = *rc::gen::inRange<int64_t>(static_cast<int64_t>(stages), 80);
  const auto durations = rc::gen::container<std::vector<int64_t>>(stages, rc::gen::inRange<int64_t>(0, 60));
  const PipelineTimes times{*durations, *durations, *rc::gen::inRange<int64_t>(0, 30)};
  const PeriodicGraph graph = OneForwardOneBackward(times, micro_batches);
  RC_ASSERT(SimulatePeriodic(graph).makespan == WrittenOut(times, micro_batches));
  ExpectEqualsUnrolled(graph);
}

std::vector<PeriodicPredecessor> RandomPredecessors(uint32_t task, uint32_t period_size, uint32_t back) {
  std::vector<PeriodicPredecessor> before;
  for (auto count = *rc::gen::inRange<int>(0, 4); count > 0; --count) {
    const auto from = *rc::gen::inRange<uint32_t>(0, back + 1);
    if (from > 0) {
      before.push_back({*rc::gen::inRange<uint32_t>(0, period_size), from});
    } else if (task > 0) {
      before.push_back({*rc::gen::inRange<uint32_t>(0, task), 0});
    }
  }
  return before;
}

RC_GTEST_PROP(PeriodicProperty, EqualsTheGraphWrittenOut, ()) {
  PeriodicGraph graph;
  const auto prologue = *rc::gen::inRange<uint32_t>(1, 5);
  for (uint32_t task = 0; task < prologue; ++task) AddTask(graph.prologue, *rc::gen::inRange<int64_t>(0, 200), {});
  const auto period = *rc::gen::inRange<uint32_t>(1, 9);
  const auto back = *rc::gen::inRange<uint32_t>(1, 4);
  for (uint32_t task = 0; task < period; ++task)
    AddTask(graph.period, *rc::gen::inRange<int64_t>(0, 20), RandomPredecessors(task, period, back));
  for (uint32_t i = 0; i < back; ++i) {
    graph.stand_ins.push_back(*rc::gen::container<std::vector<uint32_t>>(
        period, rc::gen::oneOf(rc::gen::just(kNoStandIn), rc::gen::inRange<uint32_t>(0, prologue))));
  }
  const auto epilogue = *rc::gen::inRange<uint32_t>(0, 5);
  for (uint32_t task = 0; task < epilogue; ++task) {
    std::vector<PeriodicPredecessor> before = RandomPredecessors(task, period, back);
    if (*rc::gen::arbitrary<bool>()) before.push_back({*rc::gen::inRange<uint32_t>(0, prologue), kOfPrologue});
    AddTask(graph.epilogue, *rc::gen::inRange<int64_t>(0, 20), before);
  }
  graph.repeats = *rc::gen::inRange<int64_t>(0, 120);
  ExpectEqualsUnrolled(graph);
}

// Ten times the micro-batches: not one repeat more is simulated, once the times are periodic.
RC_GTEST_PROP(PeriodicProperty, CostDoesNotDependOnTheNumberOfMicroBatches, ()) {
  const auto stages = *rc::gen::inRange<size_t>(1, 7);
  const auto durations = rc::gen::container<std::vector<int64_t>>(stages, rc::gen::inRange<int64_t>(1, 60));
  const PipelineTimes times{*durations, *durations, *rc::gen::inRange<int64_t>(0, 30)};
  const PeriodicTimes some = SimulatePeriodic(OneForwardOneBackward(times, 100000));
  const PeriodicTimes more = SimulatePeriodic(OneForwardOneBackward(times, 1000000));
  RC_ASSERT(some.cycle_repeats > 0);
  RC_ASSERT(more.simulated_repeats == some.simulated_repeats);
}

}  // namespace
}  // namespace helm::sim
