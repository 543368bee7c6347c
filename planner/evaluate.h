// Evaluate: prices one plan: materialise its program, simulate it, say what is predicted. Also how a plan is made from a configuration.
#pragma once

#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "config/run_config.h"
#include "core/status.h"
#include "cost/estimator.h"
#include "ir/plan.h"
#include "ir/step_programs.h"
#include "planner/prediction.h"
#include "sim/simulate.h"

namespace helm::planner {

// The plan of a strategy, without hash and prediction.
ir::Plan MakePlan(const config::RunConfig& config, const ir::Strategy& strategy);

struct Evaluation {
  ir::Plan plan;  // with hash and prediction
  ir::StepPrograms step;
  sim::Simulation simulation;
  Prediction prediction;
};

struct EvaluateOptions {
  double memory_fraction = 1.0;
  bool record_timeline = true;
  // Many micro-batches by arithmetic (planner/steady_state.h); the evaluation then has the programs of a smaller step, and no timeline.
  bool steady_state = false;
};

// REQUIRES: the plan's model and cluster are valid documents; `model` and `cluster` are those documents read.
Result<Evaluation> Evaluate(const ir::Plan& plan, const model::ModelSpec& model, const cluster::Cluster& cluster,
                            const cost::Estimator& estimator, const EvaluateOptions& options);

// The same for a plan file: reads the documents.
Result<Evaluation> EvaluatePlan(const ir::Plan& plan, const cost::Estimator& estimator, const EvaluateOptions& options);

// What the simulator needs to know of the cluster.
sim::SimulationOptions SimulationOptionsFor(const cluster::Cluster& cluster);

// Every distinct op and collective of the programs of these plans: what a cost table must hold to price them from measurements alone.
struct CostQueries {
  std::vector<ir::OpSignature> ops;
  std::vector<ir::CollectiveSignature> collectives;
};
Result<CostQueries> CostQueriesOf(const std::vector<ir::Plan>& plans, const cluster::Cluster& cluster);

}  // namespace helm::planner
