// Properties of the event engine on random graphs; the static engine is the reference where nothing is shared.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <vector>

#include "sim/event_engine.h"
#include "sim/static_engine.h"

namespace helm::sim {
namespace {

struct Options {
  bool links = false;       // some tasks share links that do not suffice
  bool wide_links = false;  // some tasks share links that suffice for all
  bool contention = false;  // some tasks slow each other down on a device
  bool dynamic = false;     // some streams are kEarliestReady
};

constexpr uint32_t kStreams = 4;
constexpr uint32_t kLinks = 3;
constexpr uint32_t kDevices = 2;

EventGraph RandomGraph(const Options& options) {
  EventGraph graph;
  for (uint32_t i = 0; i < kStreams; ++i) {
    AddStream(graph, options.dynamic && *rc::gen::arbitrary<bool>() ? StreamOrder::kEarliestReady : StreamOrder::kInOrder);
  }
  for (uint32_t i = 0; i < kLinks; ++i) AddResource(graph, options.wide_links ? 1000000 : *rc::gen::inRange<int64_t>(20, 200));
  Contention contention = NoContention(2);
  for (Rate& rate : contention.rates) rate = kFullRate / *rc::gen::inRange<int64_t>(1, 5);
  const uint32_t table = AddContention(graph, contention);
  for (uint32_t i = 0; i < kDevices; ++i) AddDevice(graph, table);
  const auto size = *rc::gen::inRange<uint32_t>(1, 50);
  for (uint32_t task = 0; task < size; ++task) {
    std::vector<uint32_t> before;
    const auto count = task == 0 ? 0 : *rc::gen::inRange<int>(0, 3);
    for (int i = 0; i < count; ++i) before.push_back(*rc::gen::inRange<uint32_t>(0, task));
    std::vector<ResourceUse> uses;
    for (uint32_t link = 0; (options.links || options.wide_links) && link < kLinks; ++link) {
      if (*rc::gen::inRange(0, 3) == 0) uses.push_back({link, *rc::gen::inRange<uint32_t>(1, 3)});
    }
    const bool contends = options.contention && *rc::gen::arbitrary<bool>();
    AddTask(graph, {.work = *rc::gen::inRange<int64_t>(0, 1000),
                    .stream = *rc::gen::arbitrary<bool>() ? *rc::gen::inRange<uint32_t>(0, kStreams) : kNone,
                    .predecessors = before,
                    .flow = *rc::gen::inRange<int64_t>(1, 100),
                    .uses = uses,
                    .device = contends ? *rc::gen::inRange<uint32_t>(0, kDevices) : kNone,
                    .kind = contends ? *rc::gen::inRange<uint32_t>(0, 2) : 0});
  }
  return graph;
}

EventTimes TimesOf(const EventGraph& graph, const EventOptions& options = {}) {
  Result<EventTimes> times = SimulateEvents(graph, options);
  RC_ASSERT(times.ok());
  return *std::move(times);
}

// The longest path over dependencies and the order on each stream.
std::vector<int64_t> StaticFinish(const EventGraph& graph) {
  TaskGraph fixed;
  const std::vector<uint32_t> stream_before = StreamPredecessors(graph);
  for (uint32_t task = 0; task < graph.size(); ++task) {
    const auto given = graph.PredecessorsOf(task);
    std::vector<uint32_t> before(given.begin(), given.end());
    if (stream_before[task] != kNone) before.push_back(stream_before[task]);
    AddTask(fixed, graph.work[task], before);
  }
  std::vector<int64_t> finish(fixed.size());
  LongestPath(fixed, finish);
  return finish;
}

RC_GTEST_PROP(EventEngineProperty, EqualsTheStaticEngineWhereNothingIsShared, ()) {
  const EventGraph graph = RandomGraph({});
  RC_ASSERT(TimesOf(graph).finish == StaticFinish(graph));
}

RC_GTEST_PROP(EventEngineProperty, EqualsTheStaticEngineWhereResourcesSuffice, ()) {
  const EventGraph graph = RandomGraph({.wide_links = true});
  RC_ASSERT(TimesOf(graph).finish == StaticFinish(graph));
}

// The same graph with its tasks numbered at random and the stream order kept by explicit dependencies: same times, task for task.
RC_GTEST_PROP(EventEngineProperty, NumberingDoesNotMatter, ()) {
  const EventGraph graph = RandomGraph({});
  const std::vector<uint32_t> stream_before = StreamPredecessors(graph);
  std::vector<uint32_t> keys = *rc::gen::container<std::vector<uint32_t>>(graph.size(), rc::gen::arbitrary<uint32_t>());
  std::vector<uint32_t> order(graph.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
  std::vector<uint32_t> number(graph.size());
  for (uint32_t i = 0; i < order.size(); ++i) number[order[i]] = i;
  EventGraph renumbered;
  for (const uint32_t task : order) {
    std::vector<uint32_t> before;
    for (const uint32_t other : graph.PredecessorsOf(task)) before.push_back(number[other]);
    if (stream_before[task] != kNone) before.push_back(number[stream_before[task]]);
    AddTask(renumbered, {.work = graph.work[task], .predecessors = before});
  }
  const std::vector<int64_t> finish = TimesOf(renumbered).finish;
  const std::vector<int64_t> expected = StaticFinish(graph);
  for (uint32_t task = 0; task < graph.size(); ++task) RC_ASSERT(finish[number[task]] == expected[task]);
}

RC_GTEST_PROP(EventEngineProperty, MoreWorkNeverShortensAnInOrderGraph, ()) {
  EventGraph graph = RandomGraph({});
  const int64_t before = TimesOf(graph).makespan;
  const auto more = *rc::gen::inRange<int64_t>(0, 500);
  graph.work[*rc::gen::inRange<size_t>(0, graph.size())] += more;
  const int64_t after = TimesOf(graph).makespan;
  RC_ASSERT(after >= before);
  RC_ASSERT(after <= before + more);
}

// No task starts before its predecessors have ended, none is faster than its work, tasks of one stream do not overlap.
RC_GTEST_PROP(EventEngineProperty, OrdersAreKept, ()) {
  const EventGraph graph = RandomGraph({.links = true, .contention = true, .dynamic = true});
  const EventTimes times = TimesOf(graph);
  std::vector<std::vector<uint32_t>> on_stream(kStreams);
  for (uint32_t task = 0; task < graph.size(); ++task) {
    RC_ASSERT(times.finish[task] - times.start[task] >= graph.work[task]);
    for (const uint32_t before : graph.PredecessorsOf(task)) RC_ASSERT(times.start[task] >= times.finish[before]);
    if (graph.streams[task] != kNone) on_stream[graph.streams[task]].push_back(task);
  }
  for (auto& tasks : on_stream) {
    std::sort(tasks.begin(), tasks.end(), [&](uint32_t a, uint32_t b) {
      return std::pair(times.start[a], times.finish[a]) < std::pair(times.start[b], times.finish[b]);
    });
    for (size_t i = 1; i < tasks.size(); ++i) RC_ASSERT(times.start[tasks[i]] >= times.finish[tasks[i - 1]]);
  }
}

// A dynamic stream never idles while one of its tasks is ready: between a task's readiness and its start the stream is busy throughout.
RC_GTEST_PROP(EventEngineProperty, DynamicStreamsConserveWork, ()) {
  const EventGraph graph = RandomGraph({.links = true, .dynamic = true});
  const EventTimes times = TimesOf(graph);
  for (uint32_t task = 0; task < graph.size(); ++task) {
    const uint32_t stream = graph.streams[task];
    if (stream == kNone || graph.stream_orders[stream] == StreamOrder::kInOrder) continue;
    int64_t ready = 0;
    for (const uint32_t before : graph.PredecessorsOf(task)) ready = std::max(ready, times.finish[before]);
    int64_t busy = 0;
    for (uint32_t other = 0; other < graph.size(); ++other) {
      if (graph.streams[other] != stream) continue;
      busy += std::max<int64_t>(0, std::min(times.finish[other], times.start[task]) - std::max(times.start[other], ready));
    }
    RC_ASSERT(busy == times.start[task] - ready);
  }
}

// Integrates the recorded rates: every task has done its work when it ends, and not a picosecond before; and at no time is a resource above
// its capacity.
RC_GTEST_PROP(EventEngineProperty, WorkIsConservedAndCapacitiesAreKept, ()) {
  const EventGraph graph = RandomGraph({.links = true, .contention = true, .dynamic = true});
  const EventTimes times = TimesOf(graph, {.record_changes = true});
  std::vector<__int128> done(graph.size());
  std::map<uint32_t, RateChange> running;
  std::vector<Rate> last_rate(graph.size());
  int64_t now = 0;
  for (const RateChange& change : times.changes) {
    RC_ASSERT(change.time >= now);
    if (change.time > now) {
      std::vector<__int128> usage(graph.capacities.size());
      for (const auto& [task, rate] : running) {
        done[task] += static_cast<__int128>(rate.rate) * (change.time - now);
        const Sharing& sharing = graph.sharing[graph.shared[task]];
        for (const ResourceUse& use : graph.UsesOf(sharing))
          usage[use.resource] += static_cast<__int128>(rate.rate) * sharing.flow * use.multiplicity;
      }
      for (size_t i = 0; i < usage.size(); ++i) RC_ASSERT(usage[i] <= static_cast<__int128>(graph.capacities[i]) * kFullRate);
      now = change.time;
    }
    if (change.rate > 0) last_rate[change.task] = change.rate;
    change.rate == 0 ? void(running.erase(change.task)) : void(running[change.task] = change);
  }
  RC_ASSERT(running.empty());
  for (uint32_t task = 0; task < graph.size(); ++task) {
    if (graph.shared[task] == kNone || graph.work[task] == 0) continue;
    const __int128 work = static_cast<__int128>(graph.work[task]) * kFullRate;
    RC_ASSERT(done[task] >= work);
    RC_ASSERT(done[task] - last_rate[task] < work);
  }
}

// The engine works on the tasks that a change reaches; here the rates of all running tasks are found anew at every change.
RC_GTEST_PROP(EventEngineProperty, RatesAreThoseOfAllTasksTogether, ()) {
  const EventGraph graph = RandomGraph({.links = true, .dynamic = true});
  const EventTimes times = TimesOf(graph, {.record_changes = true});
  MaxMinShares shares(graph.capacities);
  std::map<uint32_t, Rate> running;
  for (size_t i = 0; i < times.changes.size(); ++i) {
    const RateChange& change = times.changes[i];
    change.rate == 0 ? void(running.erase(change.task)) : void(running[change.task] = change.rate);
    if (i + 1 < times.changes.size() && times.changes[i + 1].time == change.time) continue;
    std::vector<SharedFlow> flows;
    std::vector<Rate> recorded;
    for (const auto& [task, rate] : running) {
      const Sharing& sharing = graph.sharing[graph.shared[task]];
      flows.push_back({sharing.flow, kFullRate, graph.UsesOf(sharing)});
      recorded.push_back(rate);
    }
    std::vector<Rate> rates(flows.size());
    shares.Solve(flows, rates);
    RC_ASSERT(rates == recorded);
  }
}

RC_GTEST_PROP(EventEngineProperty, SameInputSameTimes, ()) {
  const EventGraph graph = RandomGraph({.links = true, .contention = true, .dynamic = true});
  const EventTimes first = TimesOf(graph);
  const EventTimes second = TimesOf(graph);
  RC_ASSERT(first.finish == second.finish);
  RC_ASSERT(first.events == second.events);
}

// Equal transfers that start together on one link: n of them take exactly n times as long, up to the 40 that divide kFullRate.
RC_GTEST_PROP(EventEngineProperty, EqualTransfersTakeExactlyTheirNumberTimesAsLong, ()) {
  const auto count = *rc::gen::inRange<int64_t>(1, 41);
  const auto work = *rc::gen::inRange<int64_t>(1, 1000000000000);
  EventGraph graph;
  const std::vector<ResourceUse> uses = {{AddResource(graph, 450), 1}};
  for (int64_t i = 0; i < count; ++i) AddTask(graph, {.work = work, .flow = 450, .uses = uses});
  RC_ASSERT(TimesOf(graph).makespan == count * work);
}

}  // namespace
}  // namespace helm::sim
