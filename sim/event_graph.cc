#include "sim/event_graph.h"

#include <utility>

#include "core/check.h"

namespace helm::sim {
namespace {

constexpr uint32_t kKindsMost = 8;  // 8 x 2^8 rates

uint32_t Count(size_t size) {
  HELM_CHECK(size < kNone, "numbers have 32 bits");
  return static_cast<uint32_t>(size);
}

void AddSharing(EventGraph& graph, const EventTask& task) {
  HELM_CHECK(task.device == kNone || task.device < graph.contention_of_device.size(), "the device must exist");
  HELM_CHECK(task.device == kNone || task.kind < graph.contentions[graph.contention_of_device[task.device]].kinds, "the kind must exist");
  HELM_CHECK(task.flow >= 0 && task.flow <= kFlowMost, "a flow is 0 ... kFlowMost");
  HELM_CHECK(task.uses.empty() || task.flow > 0, "a task that uses resources has a flow");
  for (const ResourceUse& use : task.uses) {
    HELM_CHECK(use.resource < graph.capacities.size(), "the resource must exist");
    HELM_CHECK(use.multiplicity >= 1 && use.multiplicity <= kMultiplicityMost, "a multiplicity is 1 ... kMultiplicityMost");
  }
  Sharing sharing{
      .flow = task.uses.empty() ? 1 : task.flow, .uses_begin = Count(graph.uses.size()), .device = task.device, .kind = task.kind};
  graph.uses.insert(graph.uses.end(), task.uses.begin(), task.uses.end());
  sharing.uses_end = Count(graph.uses.size());
  graph.shared.push_back(Count(graph.sharing.size()));
  graph.sharing.push_back(sharing);
}

}  // namespace

Contention NoContention(uint32_t kinds) {
  HELM_CHECK(kinds >= 1 && kinds <= kKindsMost, "1 ... 8 kinds contend on a device");
  return {kinds, std::vector<Rate>(size_t{kinds} << kinds, kFullRate)};
}

std::span<const uint32_t> EventGraph::PredecessorsOf(size_t task) const {
  const uint32_t begin = task == 0 ? 0 : predecessor_ends[task - 1];
  return {predecessors.data() + begin, predecessor_ends[task] - begin};
}

std::span<const ResourceUse> EventGraph::UsesOf(const Sharing& shares) const {
  return {uses.data() + shares.uses_begin, shares.uses_end - shares.uses_begin};
}

uint32_t AddStream(EventGraph& graph, StreamOrder order) {
  graph.stream_orders.push_back(order);
  return Count(graph.stream_orders.size()) - 1;
}

uint32_t AddResource(EventGraph& graph, int64_t capacity) {
  HELM_CHECK(capacity >= 0 && capacity <= kFlowMost, "a capacity is 0 ... kFlowMost");
  graph.capacities.push_back(capacity);
  return Count(graph.capacities.size()) - 1;
}

uint32_t AddContention(EventGraph& graph, Contention contention) {
  HELM_CHECK(contention.kinds >= 1 && contention.kinds <= kKindsMost, "1 ... 8 kinds contend on a device");
  HELM_CHECK(contention.rates.size() == size_t{contention.kinds} << contention.kinds, "a rate for each kind and set of kinds");
  for (const Rate rate : contention.rates) HELM_CHECK(rate >= 0 && rate <= kFullRate, "a rate is 0 ... kFullRate");
  graph.contentions.push_back(std::move(contention));
  return Count(graph.contentions.size()) - 1;
}

uint32_t AddDevice(EventGraph& graph, uint32_t contention) {
  HELM_CHECK(contention < graph.contentions.size(), "the contention table must exist");
  graph.contention_of_device.push_back(contention);
  return Count(graph.contention_of_device.size()) - 1;
}

uint32_t AddTask(EventGraph& graph, const EventTask& task) {
  HELM_CHECK(task.work >= 0, "a task cannot have negative work");
  HELM_CHECK(task.stream == kNone || task.stream < graph.stream_orders.size(), "the stream must exist");
  if (task.device == kNone && task.uses.empty()) {
    graph.shared.push_back(kNone);
  } else {
    AddSharing(graph, task);
  }
  graph.work.push_back(task.work);
  graph.streams.push_back(task.stream);
  graph.predecessors.insert(graph.predecessors.end(), task.predecessors.begin(), task.predecessors.end());
  graph.predecessor_ends.push_back(Count(graph.predecessors.size()));
  return Count(graph.size()) - 1;
}

std::vector<uint32_t> StreamPredecessors(const EventGraph& graph) {
  std::vector<uint32_t> last(graph.stream_orders.size(), kNone);
  std::vector<uint32_t> before(graph.size(), kNone);
  for (uint32_t task = 0; task < graph.size(); ++task) {
    const uint32_t stream = graph.streams[task];
    if (stream != kNone && graph.stream_orders[stream] == StreamOrder::kInOrder) before[task] = std::exchange(last[stream], task);
  }
  return before;
}

// Counting sort of the edges by their first end.
Successors SuccessorsOf(const EventGraph& graph) {
  const std::vector<uint32_t> stream_before = StreamPredecessors(graph);
  Successors successors{std::vector<uint32_t>(graph.size(), 0), {}, std::vector<uint32_t>(graph.size(), 0)};
  const auto for_each_edge = [&](auto&& visit) {
    for (uint32_t task = 0; task < graph.size(); ++task) {
      for (const uint32_t before : graph.PredecessorsOf(task)) visit(before, task);
      if (stream_before[task] != kNone) visit(stream_before[task], task);
    }
  };
  for_each_edge([&](uint32_t before, uint32_t task) {
    HELM_CHECK(before < graph.size() || before == kMissingPartner, "a predecessor must be a task of the graph");
    ++successors.open[task];
    if (before != kMissingPartner) ++successors.ends[before];
  });
  uint64_t sum = 0;
  for (uint32_t& end : successors.ends) {
    const uint64_t begin = sum;
    sum += end;
    end = Count(begin);
  }
  successors.tasks.resize(Count(sum));
  for_each_edge([&](uint32_t before, uint32_t task) {  // `ends` grows from the begin to the end of each task's entries
    if (before != kMissingPartner) successors.tasks[successors.ends[before]++] = task;
  });
  return successors;
}

}  // namespace helm::sim
