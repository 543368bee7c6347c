// ScheduleTimes: the tasks of a step with their times, what follows from them, and the checks that they hold together.
#pragma once

#include <cstdint>
#include <vector>

#include "core/status.h"
#include "ir/step_programs.h"
#include "sim/simulate.h"
#include "sim/step_graph.h"

namespace helm::sim {

// The graph and when each of its tasks ends, in picoseconds.
struct ScheduleTimes {
  StepGraph step_graph;
  std::vector<int64_t> finish;
  int64_t makespan = 0;

  int64_t StartOf(uint32_t task) const { return finish[task] - step_graph.graph.durations[task]; }
};

ScheduleTimes Schedule(StepGraph step_graph);

// Of one class; the parts sum to the step's makespan.
Breakdown BreakdownOf(const ir::StepPrograms& step, const ScheduleTimes& times, size_t rank_class);

// The mean over the classes (they have equally many ranks): the parts sum to the makespan.
Breakdown MeanOf(const std::vector<Breakdown>& breakdowns, Duration makespan);

// DESIGN section 5, rule 3: time never goes back, every op ran once, tasks of one resource do not overlap, busy time <= makespan >=
// critical path, the breakdowns sum to the makespan. An internal error names the op.
Status CheckSchedule(const ir::StepPrograms& step, const ScheduleTimes& times, const std::vector<uint32_t>& critical_path,
                     const std::vector<Breakdown>& breakdowns);

// Events and streams of the timeline, for the first rank of each class. A wait is drawn from when its stream reached it to when it was
// over.
void RecordEvents(const ir::StepPrograms& step, const ScheduleTimes& times, ir::Timeline& timeline);

}  // namespace helm::sim
