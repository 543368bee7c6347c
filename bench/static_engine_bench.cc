// How many tasks a second the static-order engine and the event engine handle on one core, beside a naive heap list scheduler on the same
// graph in the same run. The last lines give the ratios. Goal: 100 M tasks/s at 1 M and at 10 M tasks (techniques.md 7.2 measured 223 and
// 136 M/s).
//
// The graph looks like a program's: 16 streams in round robin (a FIFO edge each), and for nearly every task one or two dependencies on
// tasks launched up to 64 before it, 2.2 predecessors a task on average. All must find the same makespan, or the run fails.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "sim/event_engine.h"
#include "sim/static_engine.h"

namespace helm::sim {
namespace {

constexpr uint32_t kStreams = 16;
constexpr uint32_t kReach = 64;

TaskGraph MakeGraph(size_t tasks) {
  std::minstd_rand random(1);  // NOLINT: the same graph in every run
  TaskGraph graph;
  std::vector<uint32_t> before;
  for (uint32_t task = 0; task < tasks; ++task) {
    before.clear();
    if (task >= kStreams) before.push_back(task - kStreams);
    const uint32_t extra = random() % 5 == 0 ? 2 : 1;  // 1 + 0.8 * 1 + 0.2 * 2 = 2.2 predecessors
    for (uint32_t i = 0; i < extra && task > 0; ++i) before.push_back(task - 1 - random() % std::min(task, kReach));
    AddTask(graph, 1000 + random() % 100000, before);
  }
  return graph;
}

// The common way: successors in lists, a counter of open predecessors, a heap of ready tasks by (time, number).
struct ListScheduler {
  explicit ListScheduler(const TaskGraph& graph) : graph(graph), successors(graph.size()), open(graph.size()), ready_at(graph.size()) {
    for (uint32_t task = 0; task < graph.size(); ++task) {
      for (const uint32_t before : graph.PredecessorsOf(task)) successors[before].push_back(task);
    }
  }

  int64_t Run() {
    using Event = std::pair<int64_t, uint32_t>;
    std::priority_queue<Event, std::vector<Event>, std::greater<>> queue;
    for (uint32_t task = 0; task < graph.size(); ++task) {
      ready_at[task] = 0;
      open[task] = static_cast<uint32_t>(graph.PredecessorsOf(task).size());
      if (open[task] == 0) queue.emplace(0, task);
    }
    int64_t makespan = 0;
    while (!queue.empty()) {
      const auto [start, task] = queue.top();
      queue.pop();
      const int64_t finish = start + graph.durations[task];
      makespan = std::max(makespan, finish);
      for (const uint32_t next : successors[task]) {
        ready_at[next] = std::max(ready_at[next], finish);
        if (--open[next] == 0) queue.emplace(ready_at[next], next);
      }
    }
    return makespan;
  }

  const TaskGraph& graph;
  std::vector<std::vector<uint32_t>> successors;
  std::vector<uint32_t> open;
  std::vector<int64_t> ready_at;
};

void StaticEngine(benchmark::State& state) {
  const TaskGraph graph = MakeGraph(static_cast<size_t>(state.range(0)));
  std::vector<int64_t> finish(graph.size());
  for (auto _ : state) benchmark::DoNotOptimize(LongestPath(graph, finish));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void HeapListScheduler(benchmark::State& state) {
  const TaskGraph graph = MakeGraph(static_cast<size_t>(state.range(0)));
  ListScheduler scheduler(graph);
  int64_t makespan = 0;
  for (auto _ : state) benchmark::DoNotOptimize(makespan = scheduler.Run());
  std::vector<int64_t> finish(graph.size());
  HELM_CHECK(makespan == LongestPath(graph, finish), "both schedulers must find the same makespan");
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void EventEngine(benchmark::State& state) {
  const TaskGraph fixed = MakeGraph(static_cast<size_t>(state.range(0)));
  EventGraph graph;
  for (uint32_t task = 0; task < fixed.size(); ++task) {
    EventTask added;
    added.work = fixed.durations[task];
    added.predecessors = fixed.PredecessorsOf(task);
    AddTask(graph, added);
  }
  const Successors successors = SuccessorsOf(graph);
  int64_t makespan = 0;
  for (auto _ : state) benchmark::DoNotOptimize(makespan = SimulateEvents(graph, successors, EventOptions{})->makespan);
  std::vector<int64_t> finish(fixed.size());
  HELM_CHECK(makespan == LongestPath(fixed, finish), "both engines must find the same makespan");
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

BENCHMARK(StaticEngine)->Arg(1'000'000)->Arg(10'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(EventEngine)->Arg(1'000'000)->Arg(10'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(HeapListScheduler)->Arg(1'000'000)->Arg(10'000'000)->Unit(benchmark::kMillisecond);

// Prints what Google Benchmark prints and keeps the rates, for the ratio.
class RateReporter : public benchmark::ConsoleReporter {
 public:
  RateReporter() : ConsoleReporter(OO_Tabular) {}
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) rates[run.benchmark_name()] = run.counters.at("items_per_second");
  }
  std::map<std::string, double> rates;
};

void PrintRatios(const std::map<std::string, double>& rates) {
  for (const char* size : {"/1000000", "/10000000"}) {
    const auto heap = rates.find(std::string("HeapListScheduler") + size);
    for (const char* name : {"StaticEngine", "EventEngine"}) {
      const auto engine = rates.find(std::string(name) + size);
      if (engine == rates.end() || heap == rates.end()) continue;
      fmt::print("{:>9} tasks: {:<12} {:6.1f} M tasks/s against {:.1f} M tasks/s: {:.1f} times the heap\n", size + 1, name,
                 engine->second * 1e-6, heap->second * 1e-6, engine->second / heap->second);
    }
  }
}

}  // namespace
}  // namespace helm::sim

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  helm::sim::RateReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  helm::sim::PrintRatios(reporter.rates);
  return 0;
}
