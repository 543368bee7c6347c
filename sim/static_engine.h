// TaskGraph, LongestPath: the static-order engine. Once the order on every resource and every duration is fixed, the start of each task is
// the longest path to it in the graph of all orders and dependencies (max-plus), so no event queue is needed (techniques.md 7.1).
//
// Knows nothing of programs, streams or ranks: sim/step_graph.h makes the graph. For rates that change while a task runs (links shared
// by several transfers) this engine is the wrong one.
//
// Invariant of a TaskGraph: every predecessor of a task has a lower number than the task itself, so the numbers are a topological order and
// one pass forward suffices. Arrays only (structure of arrays, 32-bit numbers): the pass is bound by memory bandwidth, about 30 bytes a
// task. The engine adds 64-bit whole picoseconds: the same input gives the same bytes on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace helm::sim {

struct TaskGraph {
  std::vector<int64_t> durations;          // picoseconds, by task
  std::vector<uint32_t> predecessor_ends;  // by task: one past its last entry in `predecessors`; its first is the end of the task before
  std::vector<uint32_t> predecessors;      // of all tasks, one task after the other

  size_t size() const { return durations.size(); }
  std::span<const uint32_t> PredecessorsOf(size_t task) const;
};

// Appends a task and returns its number. REQUIRES: duration >= 0, every predecessor is a task of the graph.
uint32_t AddTask(TaskGraph& graph, int64_t duration, std::span<const uint32_t> predecessors);

// Fills finish[i] with the time at which task i ends when every task starts as soon as its predecessors have ended; returns the largest, 0
// for an empty graph. Start of a task: finish - duration. REQUIRES: finish.size() == graph.size(), the invariant above.
int64_t LongestPath(const TaskGraph& graph, std::span<int64_t> finish);

// The tasks of one longest path, first to last: walks back from the task that ends last through the predecessor that ends last; among
// equals the lowest number. The sum of their durations is the makespan. Empty for an empty graph.
std::vector<uint32_t> CriticalPath(const TaskGraph& graph, std::span<const int64_t> finish);

}  // namespace helm::sim
