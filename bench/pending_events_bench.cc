// How many events a second a pending-event queue handles on one core (one event = one pop and one push), by the number of pending events,
// beside std::priority_queue in the same run. The last lines give both rates and the ratio. Goal: 10 M events/s, flat from 16 to 1 M
// pending (techniques.md 7.2 measured 17 to 44 M/s for heaps with 8-byte keys, which cannot hold a whole step in picoseconds).
//
// The hold model: `pending` events are in the queue; each step pops the earliest and pushes it again later by a random delay. Delays are
// uniform in 1 ... 2^20 ps, drawn before the measurement.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "sim/pending_events.h"

namespace helm::sim {
namespace {

constexpr size_t kDelays = size_t{1} << 16;  // 512 KiB: stays in the second-level cache

std::vector<int64_t> MakeDelays() {
  std::minstd_rand random(1);  // NOLINT: the same in every run
  std::vector<int64_t> delays(kDelays);
  for (int64_t& delay : delays) delay = 1 + static_cast<int64_t>(random() % (1U << 20));
  return delays;
}

// What people reach for first: a binary heap of (time, task).
struct StandardQueue {
  using Event = std::pair<int64_t, uint32_t>;
  void Push(const PendingEvent& event) { queue.emplace(event.time, event.task); }
  PendingEvent top() const { return {queue.top().first, queue.top().second}; }
  void Pop() { queue.pop(); }
  std::priority_queue<Event, std::vector<Event>, std::greater<>> queue;
};

struct HeapOnly {
  void Push(const PendingEvent& event) { heap.Push(PackEvent(event)); }
  PendingEvent top() const { return UnpackEvent(heap.top()); }
  void Pop() { heap.Pop(); }
  FourAryHeap heap;
};

template <typename Queue>
void Hold(benchmark::State& state) {
  const std::vector<int64_t> delays = MakeDelays();
  const auto pending = static_cast<uint32_t>(state.range(0));
  Queue queue;
  for (uint32_t task = 0; task < pending; ++task) queue.Push({delays[task * 7 % kDelays], task, 0});
  size_t next = 0;
  int64_t last = 0;
  const auto step = [&] {
    PendingEvent event = queue.top();
    queue.Pop();
    HELM_CHECK(event.time >= last, "time goes forward");
    last = event.time;
    event.time += delays[next++ % kDelays];
    queue.Push(event);
  };
  for (uint32_t i = 0; i < pending; ++i) step();  // into the steady state
  for (auto _ : state) step();
  state.SetItemsProcessed(state.iterations());
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  for (const int64_t pending : {16, 256, 4096, 65536, 1 << 20}) benchmark->Arg(pending);
}
BENCHMARK_TEMPLATE(Hold, PendingEvents)->Name("PendingEvents")->Apply(Sizes);
BENCHMARK_TEMPLATE(Hold, HeapOnly)->Name("FourAryHeap")->Apply(Sizes);
BENCHMARK_TEMPLATE(Hold, StandardQueue)->Name("PriorityQueue")->Apply(Sizes);

// Prints what Google Benchmark prints and keeps the rates, for the ratio.
class RateReporter : public benchmark::ConsoleReporter {
 public:
  RateReporter() : ConsoleReporter(OO_Tabular) {}
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) rates[run.benchmark_name()] = run.counters.at("items_per_second") * 1e-6;
  }
  std::map<std::string, double> rates;
};

void PrintRatios(const std::map<std::string, double>& rates) {
  fmt::print("{:>9} {:>14} {:>14} {:>14} {:>6}\n", "pending", "PendingEvents", "4-ary heap", "priority_queue", "ratio");
  for (const std::string size : {"/16", "/256", "/4096", "/65536", "/1048576"}) {
    const auto events = rates.find("PendingEvents" + size);
    const auto heap = rates.find("FourAryHeap" + size);
    const auto standard = rates.find("PriorityQueue" + size);
    if (events == rates.end() || heap == rates.end() || standard == rates.end()) continue;
    fmt::print("{:>9} {:>10.1f} M/s {:>10.1f} M/s {:>10.1f} M/s {:>6.2f}\n", size.substr(1), events->second, heap->second, standard->second,
               events->second / standard->second);
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
