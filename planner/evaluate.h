// Evaluate: prices one plan: materialise its program, simulate it, say what is predicted. Also how a plan is made from a configuration.
#pragma once

#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "config/run_config.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "cost/estimator.h"
#include "ir/plan.h"
#include "ir/step_programs.h"
#include "planner/prediction.h"
#include "planner/step_form.h"
#include "sim/price_book.h"
#include "sim/simulate.h"

namespace helm::planner {

// The plan of a strategy, without hash and prediction.
ir::Plan MakePlan(const config::RunConfig& config, const ir::Strategy& strategy);

struct Evaluation {
  ir::Plan plan;          // with prediction, and hash where record_timeline
  ir::StepPrograms step;  // planner/step_form.h
  sim::Simulation simulation;
  Prediction prediction;
  std::string written_out_because;        // although it was to be composed; empty: it was, or was not to be
  std::string not_written_out_because;    // although it was to be written out if it is not too large; empty: it was, or was not to be
  std::vector<std::string> not_modelled;  // model/supported.h
  std::string places;                     // DescribePlaces (planner/device_places.h)
  std::vector<Bytes> reserved_of_class;   // by the caching allocator; empty unless it was replayed
};

struct EvaluateOptions {
  bool record_timeline = true;  // and find the program's hash, of a step that is written out
  StepForm form = StepForm::kWrittenOut;
  sim::Engine engine = sim::Engine::kAutomatic;  // what runs at the same time on a GPU
  // On GPUs: what the caching allocator reserves. Not of gpipe's steps that are too large to be written out.
  bool replay_allocator = false;
  Cancellation cancellation;  // asked all the time; then the evaluation fails with kInterrupted
};

// REQUIRES: the plan's model and cluster are valid documents; `model` and `cluster` are those documents read; `prices` are those of
// MakePriceBook for this cluster.
Result<Evaluation> Evaluate(const ir::Plan& plan, const model::ModelSpec& model, const cluster::Cluster& cluster, sim::PriceBook& prices,
                            const EvaluateOptions& options);
Result<Evaluation> Evaluate(const ir::Plan& plan, const model::ModelSpec& model, const cluster::Cluster& cluster,
                            const cost::Estimator& estimator, const EvaluateOptions& options);

// The same for a plan file: reads the documents.
Result<Evaluation> EvaluatePlan(const ir::Plan& plan, const cost::Estimator& estimator, const EvaluateOptions& options);

// Prices that one thread remembers from plan to plan. `estimator` must outlive it.
sim::PriceBook MakePriceBook(const cost::Estimator& estimator, const cluster::Cluster& cluster);

// What the simulator needs to know of the cluster. `prices`: of MakePriceBook for it.
sim::SimulationOptions SimulationOptionsFor(const cluster::Cluster& cluster, const sim::PriceBook& prices);

}  // namespace helm::planner
