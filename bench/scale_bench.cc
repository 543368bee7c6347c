// How long the simulation of a training step takes as the cluster and the model grow: unfolded (every rank its own tasks, every collective
// of every group its own task) and folded (one rank of each class), and what jumping over a pipeline's steady state saves.
//
//   scale_bench                  growth with GPUs (64 ... 16,384; 24 layers), with layers (4,096 GPUs); drifting ranks; ring steps;
//   pipelines scale_bench GPUS LAYERS      one row of the first table; its peak of memory is then that of this row alone
//
// The step, per layer: forward compute; an all-reduce of 48 MiB over TP 8, waited for at once; backward compute; an all-reduce of 432 MiB
// over the data-parallel group, beside the backward compute of the layers before, waited for at the end. Ring costs, 2 (n - 1) / n x bytes
// / rate + 2 (n - 1) x latency: 450 GB/s and 1 us inside a node, 50 GB/s and 5 us across. A collective is one task of that duration, not
// its steps.
//
// Engines: static (sim/static_engine.h), event (sim/event_engine.h) without sharing, and event with two data-parallel groups on each NIC,
// so that 8 collectives share 4 NICs on each node by max-min fairness. Static, event and folded must find the same makespan, or the run
// fails.
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"
#include "sim/event_engine.h"
#include "sim/periodic.h"
#include "sim/rank_classes.h"
#include "sim/static_engine.h"
#include "support/pipeline_graph.h"
#include "support/rank_step.h"

namespace helm::sim {
namespace {

constexpr uint32_t kTensor = 8;  // TP, all GPUs of a node
constexpr uint32_t kKinds = 2;   // tensor and data groups
constexpr int64_t kMicrosecond = 1000000;

// A layer of 12 x 12288^2 weights over TP 8 with bf16 gradients: 432 MiB a rank. 2048 tokens x 12288 x 2 bytes: 48 MiB of activations.
// Forward: 2 x 12 x 12288^2 x 2048 / 8 = 0.93 TFLOP, 2.32 ms at 400 TFLOP/s; backward twice that.
constexpr int64_t kForward = 2320 * kMicrosecond;
constexpr int64_t kBackward = 2 * kForward;
constexpr double kMebibyte = 1048576;

int64_t RingAllReduce(double bytes, double ranks, double bytes_per_second, double latency_seconds) {
  return static_cast<int64_t>(1e12 * (2 * (ranks - 1) / ranks * bytes / bytes_per_second + 2 * (ranks - 1) * latency_seconds));
}

struct Cluster {
  std::vector<uint32_t> colors;
  std::vector<RankGroup> groups;
};

Cluster MakeCluster(uint32_t gpus) {
  Cluster cluster{std::vector<uint32_t>(gpus, 0), {}};
  for (uint32_t first = 0; first < gpus; first += kTensor) {
    RankGroup group{.kind = 0, .members = std::vector<uint32_t>(kTensor)};
    std::iota(group.members.begin(), group.members.end(), first);
    cluster.groups.push_back(std::move(group));
  }
  for (uint32_t place = 0; place < kTensor; ++place) {
    RankGroup group{.kind = 1, .placement = 1, .members = {}};
    for (uint32_t rank = place; rank < gpus; rank += kTensor) group.members.push_back(rank);
    cluster.groups.push_back(std::move(group));
  }
  return cluster;
}

RankStep MakeStep(int layers) {
  RankStep step;
  step.compute.resize(1);
  const auto add = [&](StepAction::Kind kind, uint32_t group_kind, int64_t compute) {
    step.actions.push_back({kind, group_kind});
    step.compute[0].push_back(compute);
  };
  for (int layer = 0; layer < layers; ++layer) {
    add(StepAction::Kind::kCompute, 0, kForward);
    add(StepAction::Kind::kCollective, 0, 0);
    add(StepAction::Kind::kWait, 0, 0);
  }
  for (int layer = 0; layer < layers; ++layer) {
    add(StepAction::Kind::kCompute, 0, kBackward);
    add(StepAction::Kind::kCollective, 1, 0);
  }
  add(StepAction::Kind::kWait, 1, 0);
  step.collective = [](size_t, const CellGroup& group) {
    return group.kind == 0 ? RingAllReduce(48 * kMebibyte, group.size, 450e9, 1e-6)
                           : RingAllReduce(432 * kMebibyte, group.size, 50e9, 5e-6);
  };
  return step;
}

// Processor time, so that what others do on the machine disturbs less; the best of three runs.
double Milliseconds(const std::function<void()>& work) {
  double best = 0;
  for (int run = 0; run < 3; ++run) {
    const std::clock_t begin = std::clock();
    work();
    const double time = 1e3 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    best = run == 0 ? time : std::min(best, time);
  }
  return best;
}

double PeakMebibytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

int64_t RunStatic(const TaskGraph& graph) {
  std::vector<int64_t> finish(graph.size());
  return LongestPath(graph, finish);
}

EventTimes RunEvents(const EventGraph& graph, const Successors& successors) {
  Result<EventTimes> times = SimulateEvents(graph, successors, EventOptions{});
  HELM_CHECK(times.ok(), "the step does not stall");
  return *std::move(times);
}

// Each node has 4 NICs, of which each serves two data-parallel groups; each group alone could use its NIC fully.
EventGraph WithSharedNics(const RankStep& step, const Cells& cells, uint32_t gpus) {
  constexpr int64_t kNicGigabytes = 50;
  constexpr uint32_t kNics = 4;
  EventGraph graph;
  for (uint32_t nic = 0; nic < gpus / kTensor * kNics; ++nic) AddResource(graph, kNicGigabytes);
  return EventStep(step, cells, std::move(graph), [&](uint32_t group) {
    std::pair<int64_t, std::vector<ResourceUse>> share{kNicGigabytes, {}};
    if (cells.groups[group].kind == 0) return share;
    for (const uint32_t rank : cells.groups[group].members) share.second.push_back({rank / kTensor * kNics + rank % kTensor % kNics, 1});
    return share;
  });
}

void PrintHead() {
  fmt::print("{:>6} {:>6} {:>9} | {:>8} {:>9} {:>8} {:>9} {:>9} | {:>7} {:>8} | {:>9} {:>9}\n", "GPUs", "layers", "tasks", "build ms",
             "static ms", "event ms", "M event/s", "shared ms", "fold ms", "step ms", "peak MiB", "step time");
}

void RunRow(uint32_t gpus, int layers) {
  const Cluster cluster = MakeCluster(gpus);
  const RankStep step = MakeStep(layers);
  int64_t folded = 0;
  RankClasses classes;
  const double fold_ms = Milliseconds([&] { classes = FoldRanks(cluster.colors, cluster.groups); });
  const double folded_ms =
      Milliseconds([&] { folded = RunStatic(StaticStep(step, Representatives(classes, cluster.colors, cluster.groups, kKinds)).graph); });
  const Cells cells = AllRanks(cluster.colors, cluster.groups, kKinds);
  int64_t makespan = 0;
  double static_ms = 0;
  {
    const RankStepGraph graph = StaticStep(step, cells);
    static_ms = Milliseconds([&] { makespan = RunStatic(graph.graph); });
  }
  EventGraph graph;
  const double build_ms = Milliseconds([&] { graph = EventStep(step, cells); });
  EventTimes times;
  Successors successors;
  const double successors_ms = Milliseconds([&] { successors = SuccessorsOf(graph); });
  const double event_ms = Milliseconds([&] { times = RunEvents(graph, successors); });
  HELM_CHECK(times.makespan == makespan && folded == makespan, "static, event and folded find the same makespan");
  graph = WithSharedNics(step, cells, gpus);
  const double shared_ms = Milliseconds([&] { HELM_CHECK(RunEvents(graph, successors).makespan >= makespan, "sharing takes time"); });
  fmt::print("{:>6} {:>6} {:>9} | {:>8.1f} {:>9.2f} {:>7.1f} {:>8.1f} {:>9.1f} {:>9.1f} | {:>7.2f} {:>7.3f} | {:>8.0f} {:>9.1f} ms\n", gpus,
             layers, graph.size(), build_ms, static_ms, successors_ms, event_ms, static_cast<double>(times.events) / event_ms * 1e-3,
             shared_ms, fold_ms, folded_ms, PeakMebibytes(), static_cast<double>(makespan) * 1e-9);
}

// Every rank a color of its own, its compute up to 1 % longer.
void LetDrift(Cluster& cluster, RankStep& step) {
  const std::vector<int64_t> even = step.compute[0];
  step.compute.assign(cluster.colors.size(), even);
  for (uint32_t rank = 0; rank < cluster.colors.size(); ++rank) {
    cluster.colors[rank] = rank;
    for (int64_t& time : step.compute[rank])
      time += time / 100000 * static_cast<int64_t>(rank * 2654435761U % 1000);  // Knuth's multiplicative hash
  }
}

// Adds a collective as ring steps after `before`, and a task without work at its end, which is returned.
uint32_t AddRing(EventGraph& graph, uint32_t members, int64_t duration, const std::vector<uint32_t>& before) {
  EventTask task;
  task.predecessors = before;
  const std::vector<uint32_t> start(members, AddTask(graph, task));
  std::vector<uint32_t> last = start;
  task.work = duration / (2 * (members - 1));
  for (uint32_t ring_step = 0; ring_step < 2 * (members - 1); ++ring_step) {
    const std::vector<uint32_t> step_before = last;
    for (uint32_t member = 0; member < members; ++member) {
      const std::array<uint32_t, 2> own_and_neighbour = {step_before[member], step_before[(member + members - 1) % members]};
      task.predecessors = std::span<const uint32_t>(own_and_neighbour).first(ring_step == 0 ? 1 : 2);
      last[member] = AddTask(graph, task);
    }
  }
  task.work = 0;
  task.predecessors = last;
  return AddTask(graph, task);
}

// The event engine's graph with collectives as ring steps. All ranks of a collective start it together, as where it is one task.
EventGraph WithRingSteps(const RankStep& step, const Cells& cells) {
  EventGraph graph;
  const auto cell_count = static_cast<uint32_t>(cells.colors.size());
  for (uint32_t cell = 0; cell < cell_count; ++cell) AddStream(graph, StreamOrder::kInOrder);
  std::vector<uint32_t> last_of_group(cells.groups.size(), kNone);
  AddRankStep(step, cells, [&](uint32_t stream, int64_t duration, const std::vector<uint32_t>& predecessors) {
    if (stream < cell_count) {
      EventTask task;
      task.work = duration;
      task.stream = stream;
      task.predecessors = predecessors;
      return AddTask(graph, task);
    }
    uint32_t& last = last_of_group[stream - cell_count];
    std::vector<uint32_t> before = predecessors;
    if (last != kNone) before.push_back(last);
    return last = AddRing(graph, cells.groups[stream - cell_count].size, duration, before);
  });
  return graph;
}

void RunDrifting(uint32_t gpus, bool ring_steps) {
  Cluster cluster = MakeCluster(gpus);
  RankStep step = MakeStep(24);
  LetDrift(cluster, step);
  const Cells cells = AllRanks(cluster.colors, cluster.groups, kKinds);
  const EventGraph graph = ring_steps ? WithRingSteps(step, cells) : EventStep(step, cells);
  const Successors successors = SuccessorsOf(graph);
  EventTimes times;
  const double event_ms = Milliseconds([&] { times = RunEvents(graph, successors); });
  fmt::print("{:>6} {:>9} {:>9} {:>9.1f} {:>9.1f} {:>9.0f} {:>9.1f} ms\n", gpus, ring_steps ? "steps" : "one task", graph.size(), event_ms,
             static_cast<double>(times.events) / event_ms * 1e-3, PeakMebibytes(), static_cast<double>(times.makespan) * 1e-9);
}

// 8 stages of slightly different speed; written out against jumped.
void RunPipeline(int64_t micro_batches) {
  const PipelineTimes times{{101, 100, 100, 100, 100, 100, 100, 107}, {203, 200, 200, 200, 200, 200, 200, 211}, 7};
  const PeriodicGraph graph = OneForwardOneBackward(times, micro_batches);
  PeriodicTimes jumped;
  const double jump_ms = Milliseconds([&] { jumped = SimulatePeriodic(graph); });
  std::string written_out = "(not run)";
  if (micro_batches <= 1000000) {
    const TaskGraph unrolled = Unroll(graph);
    int64_t makespan = 0;
    written_out = fmt::format("{:.3f}", Milliseconds([&] { makespan = RunStatic(unrolled); }));
    HELM_CHECK(makespan == jumped.makespan, "the jump is exact");
  }
  fmt::print("{:>13} {:>18} {:>10.3f} {:>15}\n", micro_batches, jumped.simulated_repeats, jump_ms, written_out);
}

void RunAll() {
  PrintHead();
  for (const uint32_t gpus : {64, 256, 1024, 4096, 16384}) RunRow(gpus, 24);
  fmt::print("\n");
  PrintHead();
  for (const int layers : {12, 24, 48, 96}) RunRow(4096, layers);
  fmt::print("\ndrifting ranks, 24 layers\n{:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>12}\n", "GPUs", "rings", "tasks", "event ms", "M event/s",
             "peak MiB", "step time");
  for (const uint32_t gpus : {64, 256, 1024, 4096, 16384}) RunDrifting(gpus, false);
  for (const uint32_t gpus : {64, 256, 1024}) RunDrifting(gpus, true);
  fmt::print("\n{:>13} {:>18} {:>10} {:>15}\n", "micro-batches", "simulated repeats", "jump ms", "written out ms");
  for (const int64_t micro_batches : {8, 100, 1000, 10000, 100000, 1000000, 1000000000}) RunPipeline(micro_batches);
}

}  // namespace
}  // namespace helm::sim

int main(int argc, char** argv) {
  if (argc == 3) {
    helm::sim::PrintHead();
    helm::sim::RunRow(static_cast<uint32_t>(std::strtoul(argv[1], nullptr, 10)), std::atoi(argv[2]));
  } else {
    helm::sim::RunAll();
  }
  return 0;
}
