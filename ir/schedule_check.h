// ScheduleProblems: what keeps the schedules of a pipeline from being a step: an action twice or nowhere, a stage on two ranks, a stage
// where HELM cannot place it, an order in which ranks wait for each other for ever. Each problem at the action that shows it.
//
// Not whether messages between ranks meet in order (ir/step_programs.h), nor how long it takes (sim/).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/schedule.h"

namespace helm::ir {

struct ScheduleProblem {
  size_t row = 0;
  size_t action = 0;  // of the row; the row's length: behind its last
  std::string message;
};

// `rows`: by rank of the pipeline; F, B, I and W alone. A step has `stages` and `micro_batches`. Empty: it can run. Costs time and memory
// by the actions there are, not by those that there should be.
std::vector<ScheduleProblem> ScheduleProblems(const std::vector<Schedule>& rows, int64_t stages, int64_t micro_batches);

// The row that runs a stage first; -1: none.
int64_t RowOfStage(const std::vector<Schedule>& rows, int64_t stage);

// One more than the largest number that any action names.
int64_t StagesOf(const std::vector<Schedule>& rows);
int64_t MicroBatchesOf(const std::vector<Schedule>& rows);

// Whether each stage runs its micro-batches in ascending order, forward, backward and for their weight gradients, so that the first and the
// last are those numbered so. Some of them may have their input and weight gradients apart, and others not.
bool Ascends(const Schedule& schedule);

}  // namespace helm::ir
