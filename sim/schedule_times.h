// ScheduleTimes: a program's tasks with their times, what follows from them, and the checks that they hold together.
#pragma once

#include <cstdint>
#include <vector>

#include "core/status.h"
#include "ir/program.h"
#include "sim/program_graph.h"
#include "sim/simulate.h"

namespace helm::sim {

// The graph and when each of its tasks ends, in picoseconds.
struct ScheduleTimes {
  ProgramGraph program_graph;
  std::vector<int64_t> finish;
  int64_t makespan = 0;

  int64_t StartOf(uint32_t task) const { return finish[task] - program_graph.graph.durations[task]; }
};

ScheduleTimes Schedule(ProgramGraph program_graph);

Breakdown BreakdownOf(const ir::Program& program, const ScheduleTimes& times);

// DESIGN section 5, rule 3: time never goes back, every op ran once, tasks of one resource do not overlap, busy time <= makespan >=
// critical path, the breakdown sums to the makespan. An internal error names the op.
Status CheckSchedule(const ir::Program& program, const ScheduleTimes& times, const std::vector<uint32_t>& critical_path,
                     const Breakdown& breakdown);

// Events and streams of the timeline (rank 0). A wait is drawn from when its stream reached it to when it was over.
void RecordEvents(const ScheduleTimes& times, ir::Timeline& timeline);

}  // namespace helm::sim
