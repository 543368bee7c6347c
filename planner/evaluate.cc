#include "planner/evaluate.h"

#include "cluster/cluster_reader.h"
#include "cluster/placement.h"
#include "ir/program_text.h"
#include "model/model_reader.h"
#include "model/supported.h"
#include "planner/outside_memory.h"
#include "planner/reserved_memory.h"
#include "schedule/materialise.h"

namespace helm::planner {

ir::Plan MakePlan(const config::RunConfig& config, const ir::Strategy& strategy) {
  ir::Plan plan;
  plan.model = model::ToJson(config.model);
  plan.cluster = cluster::ToJson(config.cluster);
  plan.workload = config.workload;
  plan.software = config.software;
  plan.strategy = strategy;
  plan.tolerance = config.tolerance;
  plan.memory_fraction = config.search.memory_fraction;
  plan.cost_tables = config.cost_tables;
  return plan;
}

sim::SimulationOptions SimulationOptionsFor(const cluster::Cluster& cluster) {
  sim::SimulationOptions options;
  options.ranks_per_node = cluster::DevicesPerDomain(cluster);
  options.communication_shares_cores = cluster.device.is_cpu && !cluster.emulated_network;
  options.overlap_losses = cost::OverlapLossesOf(cluster);
  return options;
}

sim::PriceBook MakePriceBook(const cost::Estimator& estimator, const cluster::Cluster& cluster) {
  return sim::PriceBook(estimator, SimulationOptionsFor(cluster).ranks_per_node);
}

namespace {

// What a library allocates once and keeps is in every peak.
void AddToPeaks(Bytes workspace, sim::Simulation& simulation) {
  simulation.peak.bytes += workspace;
  simulation.peak.workspace += workspace;
  for (Bytes& peak : simulation.peak_of_class) peak += workspace;
  for (ir::RankSummary& rank : simulation.timeline.ranks) rank.memory_bytes_peak += workspace;
}

}  // namespace

Result<Evaluation> Evaluate(const ir::Plan& plan, const model::ModelSpec& model, const cluster::Cluster& cluster, sim::PriceBook& prices,
                            const EvaluateOptions& options) {
  Evaluation evaluation;
  evaluation.plan = plan;
  sim::SimulationOptions simulation_options = SimulationOptionsFor(cluster);
  simulation_options.record_timeline = options.record_timeline;
  simulation_options.engine = options.engine;
  simulation_options.cancellation = options.cancellation;
  const ir::DeviceKind device = cluster.device.is_cpu ? ir::DeviceKind::kCpu : ir::DeviceKind::kCuda;
  HELM_ASSIGN_OR_RETURN(SimulatedStep step, SimulateStep(plan, model, device, prices, simulation_options, options.form));
  evaluation.step = std::move(step.programs);
  evaluation.simulation = std::move(step.simulation);
  evaluation.written_out_because = std::move(step.not_composed_because);
  evaluation.not_written_out_because = std::move(step.not_written_out_because);
  evaluation.not_modelled = model::UnmodelledSwitches(model, plan.workload, plan.software, plan.strategy);
  const Bytes workspaces = CublasWorkspaces(cluster.device, plan.software);
  AddToPeaks(workspaces, evaluation.simulation);
  evaluation.prediction = MakePrediction(evaluation.simulation, model, plan.workload, cluster, plan.memory_fraction);
  const size_t fullest = evaluation.simulation.peak.rank_class;
  evaluation.prediction.rank_of_peak = RepresentativeRank(evaluation.step, fullest);
  const bool too_large = !evaluation.not_written_out_because.empty() && ReplaysWholeStep(plan);
  if (options.replay_allocator && !cluster.device.is_cpu && !too_large) {
    HELM_ASSIGN_OR_RETURN(evaluation.reserved_of_class, ReservedMemory(plan, model, prices, workspaces));
    evaluation.prediction.memory_bytes_reserved = evaluation.reserved_of_class[fullest];
    evaluation.prediction.outside = OutsideMemoryOf(evaluation.step, fullest, cluster);
    for (ir::RankSummary& rank : evaluation.simulation.timeline.ranks) {
      const size_t rank_class = ClassOfRank(evaluation.step, rank.rank);
      rank.memory_bytes_reserved = evaluation.reserved_of_class[rank_class];
      rank.memory_bytes_outside = OutsideMemoryOf(evaluation.step, rank_class, cluster).total();
    }
  }
  evaluation.plan.prediction = Summary(evaluation.prediction);
  if (step.written_out && options.record_timeline) {
    HELM_RETURN_IF_ERROR(options.cancellation.Check());
    evaluation.plan.program_hash = ir::ProgramHash(evaluation.step);
    evaluation.simulation.timeline.plan = ir::Describe(plan.strategy);
    evaluation.simulation.timeline.program_hash = evaluation.plan.program_hash;
    evaluation.simulation.timeline.device = cluster.device.name;
  }
  return evaluation;
}

Result<Evaluation> Evaluate(const ir::Plan& plan, const model::ModelSpec& model, const cluster::Cluster& cluster,
                            const cost::Estimator& estimator, const EvaluateOptions& options) {
  sim::PriceBook prices = MakePriceBook(estimator, cluster);
  return Evaluate(plan, model, cluster, prices, options);
}

Result<Evaluation> EvaluatePlan(const ir::Plan& plan, const cost::Estimator& estimator, const EvaluateOptions& options) {
  HELM_ASSIGN_OR_RETURN(const auto model, model::ModelFromJson(plan.model));
  HELM_ASSIGN_OR_RETURN(const auto cluster, cluster::ClusterFromJson(plan.cluster));
  return Evaluate(plan, model, cluster, estimator, options);
}

}  // namespace helm::planner
