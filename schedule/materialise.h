// Materialise: plan -> programs, one for each rank class. The only way from decisions to the work they mean, for simulator, executor,
// profiler and report.
//
// A pure function: reads the plan's model and cluster documents, makes the pipeline's schedule, lowers each stage, applies the passes of
// the overlap word, verifies. When the plan holds a program hash, the program must have it: a plan made by another version that lowers
// differently is refused, not run as something else.
//
// Of a prefill (workload.kind) a program is what forward_only leaves of a step of training (schedule/forward_only.h), before other passes.
//
// Overlap words: `none` is the program as lowered; the others are the passes that schedule::PassesOf names. Those that
// need durations take them from the cluster's description, not from measured tables, so that the program depends on the plan alone.
#pragma once

#include "cluster/cluster.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "ir/plan.h"
#include "ir/step_programs.h"
#include "model/model_spec.h"

namespace helm::schedule {

// The plan's inline documents as values, for callers that need more of them than the program.
struct PlanParts {
  model::ModelSpec model;
  cluster::Cluster cluster;
};
Result<PlanParts> ReadParts(const ir::Plan& plan);

// `cancellation` is asked before each action that is lowered and before each check.
Result<ir::StepPrograms> Materialise(const ir::Plan& plan, const Cancellation& cancellation = {});

// The same training on one rank: no split, the same micro-batches' size, so that it needs little more memory than a rank of the plan does
// for activations. Without program hash, passes and prediction, which belong to the split program.
ir::Plan UnsplitPlan(ir::Plan plan);

}  // namespace helm::schedule
