// PeriodicGraph, SimulatePeriodic: a static-order graph that repeats a period many times (the steady state of a pipeline with m
// micro-batches, the layers of a model), simulated at a cost that does not depend on the number of repeats once the times have become
// periodic.
//
// The form of input:
//   prologue   a TaskGraph (warm-up)
//   period     tasks that run in each of `repeats` repeats, in the same order with the same durations. A predecessor is a task of the same
//              repeat with a lower number (back 0), or a task of the repeat that is `back` repeats before (back >= 1, any number)
//   stand-ins  what tasks of the period find as predecessors before the first repeat: stand_ins[back - 1][task] is the task of the
//              prologue that stands for `task` in repeat -back, or kNoStandIn: nothing to wait for
//   epilogue   tasks (cool-down). A predecessor is a task of the epilogue with a lower number (back 0), a task of the repeat that is
//              `back` repeats before the end (back 1: the last one), or a task of the prologue (back kOfPrologue)
//
// How it jumps, exactly (integers throughout). Finish times of a repeat are a max-plus linear function of those of the repeats before.
// After each repeat its increments over the repeat before are compared with earlier ones; when they come back after q repeats, each task
// has grown by some amount in those q repeats. The next q repeats are then computed with every time written as v + n g (value now, growth a
// cycle), and it is checked that every maximum stays with the same term for all cycles n that remain and that the growths reproduce
// themselves. If so, by induction, all further repeats are v + n g; if not, simulation goes on and tries again later. Growths may differ
// from task to task (parts of the graph that do not hinder each other run at their own pace). Baccelli, Cohen, Olsder, Quadrat,
// Synchronization and Linearity, 1992, theorem 3.109, is why times become periodic at all; how late depends on the durations.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "sim/static_engine.h"

namespace helm::sim {

inline constexpr uint32_t kNoStandIn = std::numeric_limits<uint32_t>::max();
inline constexpr uint32_t kOfPrologue = std::numeric_limits<uint32_t>::max();

struct PeriodicPredecessor {
  uint32_t task = 0;
  uint32_t back = 0;
};

struct PeriodicTasks {
  std::vector<int64_t> durations;          // picoseconds, by task
  std::vector<uint32_t> predecessor_ends;  // by task, as in TaskGraph
  std::vector<PeriodicPredecessor> predecessors;

  size_t size() const { return durations.size(); }
  std::span<const PeriodicPredecessor> PredecessorsOf(size_t task) const;
};

// Appends a task and returns its number. REQUIRES: duration >= 0; predecessors with back 0 have lower numbers.
uint32_t AddTask(PeriodicTasks& tasks, int64_t duration, std::span<const PeriodicPredecessor> predecessors);

struct PeriodicGraph {
  TaskGraph prologue;
  PeriodicTasks period;
  std::vector<std::vector<uint32_t>> stand_ins;  // as many as the largest `back` of the period and the epilogue
  int64_t repeats = 0;
  PeriodicTasks epilogue;
};

struct PeriodicTimes {
  std::vector<int64_t> prologue;  // finish times, picoseconds, by task
  std::vector<int64_t> epilogue;
  int64_t makespan = 0;
  int64_t simulated_repeats = 0;  // the others were jumped over
  int64_t cycle_repeats = 0;      // q: the times of repeat r + q are those of r plus the growth; 0 if nothing was jumped over
  std::vector<int64_t> finish;    // of the simulated repeats, one after the other
  std::vector<int64_t> growth;    // of the last cycle_repeats of them
  size_t period_size = 0;         // tasks in the period

  // Finish time of a task in any repeat. REQUIRES: 0 <= repeat < repeats of the graph.
  int64_t FinishAt(int64_t repeat, size_t task) const;
};

// REQUIRES: the form above; finish times below 2^62.
PeriodicTimes SimulatePeriodic(const PeriodicGraph& graph);

// The graph written out: prologue, all repeats, epilogue. The reference in tests, and for whoever needs the whole timeline.
TaskGraph Unroll(const PeriodicGraph& graph);

}  // namespace helm::sim
