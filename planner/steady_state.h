// SimulateSteadyState: the numbers of a step with many micro-batches from steps with few.
//
// A pipeline that runs equal micro-batches is a max-plus linear system: after a start-up that depends on the number of stages, every
// further micro-batch (with interleaving: group of as many as there are stages) takes the same time on every stage (techniques.md 7.5). So
// the step is simulated, operator by operator, for three small numbers of micro-batches; when each adds as much as the one before to
// every number, the rest is arithmetic. When they do not yet, larger numbers are tried, in the end all of them.
//
// Makespan and peaks are those of the written-out simulation, to the tick (property test). What a stage's idle time is put down to may
// change later than its length does, so the breakdown can be off by 2 % of the step; the shares by source are those of the small step.
// gpipe is written out: it keeps the activations of all micro-batches, so that the place of its peak can move with their number. Not for
// what is reported of a chosen plan, which is written out too.
#pragma once

#include "core/cancellation.h"
#include "core/status.h"
#include "ir/plan.h"
#include "ir/step_programs.h"
#include "sim/price_book.h"
#include "sim/simulate.h"

namespace helm::planner {

struct SteadyState {
  sim::Simulation simulation;  // without timeline and critical path
  ir::StepPrograms step;       // of the largest step that was written out
  bool jumped = false;         // false: that is all of it
};

// Whether there are more micro-batches than SimulateSteadyState writes out at first.
bool MayJump(const ir::Plan& plan);

// About how many operators the step has, of all rank classes together, as the first micro-batches tell. REQUIRES: MayJump(plan).
Result<int64_t> EstimateOps(const ir::Plan& plan, const Cancellation& cancellation);

// `plan.workload.global_batch` is divisible as for Materialise. `options.record_timeline` is ignored.
Result<SteadyState> SimulateSteadyState(const ir::Plan& plan, sim::PriceBook& prices, const sim::SimulationOptions& options);

}  // namespace helm::planner
