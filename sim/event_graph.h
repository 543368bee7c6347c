// EventGraph: the tasks that the event engine (sim/event_engine.h) runs: what waits for what, on which stream, and what is shared while
// they run.
//
// Other than sim::TaskGraph, whose numbers are a topological order, tasks here may name any task as predecessor, also later ones and even
// in a cycle (the engine then says who waits for whom). A task has work: its duration when nothing slows it down. What may:
//   streams     run one task at a time. kInOrder: in the order of the task numbers, whichever is ready (a FIFO queue filled in launch
//               order). kEarliestReady: whichever became ready first, among equals the lowest number; never idle while one is ready.
//   resources   are shared by max-min fairness (sim/max_min.h): links, NICs, memory bandwidth, SMs.
//   devices     slow tasks down that run beside others: the rate of a task is given by its kind and the set of kinds that run beside it
//               (a matrix product beside an all-reduce), whatever the two share in truth (techniques.md 5.6).
// A task that names neither resources nor a device takes exactly its work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "sim/max_min.h"

namespace helm::sim {

inline constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
// As a predecessor: a partner that nobody plays, such as the send of a receive that no rank posts. Its task never starts.
inline constexpr uint32_t kMissingPartner = kNone;

enum class StreamOrder : uint8_t { kInOrder, kEarliestReady };

// Rates of the kinds of task that contend on a device: rates[kind << kinds | beside], where bit k of `beside` says that a task of kind k
// runs beside this one. 0 ... kFullRate each.
struct Contention {
  uint32_t kinds = 0;  // up to 8
  std::vector<Rate> rates;
};

// A table in which nothing slows anything down, to be filled in.
Contention NoContention(uint32_t kinds);

// What a task of EventGraph::sharing takes part in.
struct Sharing {
  int64_t flow = 1;
  uint32_t uses_begin = 0;  // into EventGraph::uses
  uint32_t uses_end = 0;
  uint32_t device = kNone;
  uint32_t kind = 0;  // on the device
};

struct EventGraph {
  std::vector<int64_t> work;               // picoseconds at full rate, by task
  std::vector<uint32_t> predecessor_ends;  // by task, as in TaskGraph
  std::vector<uint32_t> predecessors;
  std::vector<uint32_t> streams;  // by task; kNone: runs as soon as its predecessors have ended
  std::vector<uint32_t> shared;   // by task: its place in `sharing`, or kNone
  std::vector<Sharing> sharing;
  std::vector<ResourceUse> uses;           // of all of `sharing`
  std::vector<StreamOrder> stream_orders;  // by stream
  std::vector<int64_t> capacities;         // by resource, 0 ... kFlowMost
  std::vector<Contention> contentions;
  std::vector<uint32_t> contention_of_device;  // by device: place in `contentions`

  size_t size() const { return work.size(); }
  std::span<const uint32_t> PredecessorsOf(size_t task) const;
  std::span<const ResourceUse> UsesOf(const Sharing& shares) const;
};

// A task to be added. One with flow > 0 has uses, one with a device a kind; a task may have both.
struct EventTask {
  int64_t work = 0;
  uint32_t stream = kNone;
  std::span<const uint32_t> predecessors;
  int64_t flow = 0;
  std::span<const ResourceUse> uses;
  uint32_t device = kNone;
  uint32_t kind = 0;
};

// Each returns the number of what it adds.
uint32_t AddStream(EventGraph& graph, StreamOrder order);
uint32_t AddResource(EventGraph& graph, int64_t capacity);
uint32_t AddContention(EventGraph& graph, Contention contention);
uint32_t AddDevice(EventGraph& graph, uint32_t contention);
// REQUIRES: work >= 0; stream, resources, device and kind exist; limits of sim/max_min.h. Predecessors may be added later.
uint32_t AddTask(EventGraph& graph, const EventTask& task);

// Who can go on when a task ends: its successors, and after it on a kInOrder stream the next task. Depends on predecessors and streams
// alone, so that it can be kept while work changes.
struct Successors {
  std::vector<uint32_t> ends;  // by task, as predecessor_ends
  std::vector<uint32_t> tasks;
  std::vector<uint32_t> open;  // by task: how many must end before it may start, missing partners too
};
// REQUIRES: every predecessor is a task of the graph or kMissingPartner.
Successors SuccessorsOf(const EventGraph& graph);

// By task the one before it on its kInOrder stream, or kNone.
std::vector<uint32_t> StreamPredecessors(const EventGraph& graph);

}  // namespace helm::sim
