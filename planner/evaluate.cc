#include "planner/evaluate.h"

#include "cluster/cluster_reader.h"
#include "cluster/device_groups.h"
#include "ir/program_text.h"
#include "model/model_reader.h"
#include "model/supported.h"
#include "planner/device_places.h"
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

sim::SimulationOptions SimulationOptionsFor(const cluster::Cluster& cluster, const sim::PriceBook& prices) {
  sim::SimulationOptions options;
  options.layout = cluster::LayoutOf(cluster);
  options.overlap_losses = prices.OfOverlap(cost::OverlapLossesOf(cluster));
  const bool shares_cores = cluster.device.is_cpu && !cluster.emulated_network;
  const bool measured = options.overlap_losses.measured_pairs > 0;
  options.communication_shares_cores = shares_cores && !measured;
  // Kernels of which no pair was measured wait for the collective, as they do where no pair was measured at all.
  constexpr cost::OverlapLosses::Beside kAll{.product = 1, .memory_bound = 1};
  if (shares_cores && measured) options.overlap_losses = prices.OfOverlap({.inside = kAll, .network = kAll});
  return options;
}

sim::PriceBook MakePriceBook(const cost::Estimator& estimator, const cluster::Cluster& cluster) {
  return {estimator, cluster::LayoutOf(cluster)};
}

namespace {

// What a library allocates once and keeps is in every peak.
void AddToPeaks(const std::vector<Bytes>& workspaces, const ir::StepPrograms& step, sim::Simulation& simulation) {
  simulation.peak.bytes += workspaces[simulation.peak.rank_class];
  simulation.peak.workspace += workspaces[simulation.peak.rank_class];
  for (size_t c = 0; c < simulation.peak_of_class.size(); ++c) simulation.peak_of_class[c] += workspaces[c];
  for (ir::RankSummary& rank : simulation.timeline.ranks) rank.memory_bytes_peak += workspaces[ClassOfRank(step, rank.rank)];
}

// In a cluster of several kinds of nodes, what the rank may use that has least left.
void HoldAgainstGroup(const DevicePlaces& places, size_t fullest, double memory_fraction, Prediction& prediction) {
  prediction.group_of_peak = places.GroupOf(fullest);
  if (prediction.group_of_peak.empty()) return;
  prediction.memory_bytes_capacity = MemoryCapacity(*places.nodes[fullest], memory_fraction);
  prediction.memory_bytes_device = MemoryCapacity(*places.nodes[fullest], 1);
  prediction.fits = prediction.memory_bytes_peak <= prediction.memory_bytes_capacity;
}

}  // namespace

Result<Evaluation> Evaluate(const ir::Plan& plan, const model::ModelSpec& model, const cluster::Cluster& cluster,
                            sim::PriceBook& all_prices, const EvaluateOptions& options) {
  Evaluation evaluation;
  evaluation.plan = plan;
  HELM_ASSIGN_OR_RETURN(const DevicePlaces places, PlaceDevices(cluster, plan.strategy, plan.software));
  evaluation.places = DescribePlaces(cluster, plan.strategy);
  sim::PriceBook prices = all_prices.WithLayout(places.layout);
  sim::SimulationOptions simulation_options = SimulationOptionsOf(cluster, places, plan.memory_fraction, prices);
  simulation_options.record_timeline = options.record_timeline;
  simulation_options.engine = options.engine;
  // The static engine knows no rates, measured or not: to it a rank of a CPU does not compute while it communicates.
  if (options.engine == sim::Engine::kStatic) {
    simulation_options.communication_shares_cores = cluster.device.is_cpu && !cluster.emulated_network;
  }
  simulation_options.cancellation = options.cancellation;
  const ir::DeviceKind device = cluster.device.is_cpu ? ir::DeviceKind::kCpu : ir::DeviceKind::kCuda;
  HELM_ASSIGN_OR_RETURN(SimulatedStep step, SimulateStep(plan, model, device, prices, simulation_options, options.form));
  evaluation.step = std::move(step.programs);
  evaluation.simulation = std::move(step.simulation);
  evaluation.written_out_because = std::move(step.not_composed_because);
  evaluation.not_written_out_because = std::move(step.not_written_out_because);
  evaluation.not_modelled = model::UnmodelledSwitches(model, plan.workload, plan.software, plan.strategy);
  AddToPeaks(places.workspaces, evaluation.step, evaluation.simulation);
  evaluation.prediction = MakePrediction(evaluation.simulation, model, plan.workload, cluster, plan.memory_fraction);
  const size_t fullest = evaluation.simulation.peak.rank_class;
  evaluation.prediction.rank_of_peak = places.ranks[fullest];
  HoldAgainstGroup(places, fullest, plan.memory_fraction, evaluation.prediction);
  const auto outside_of = [&](size_t rank_class) {
    return OutsideMemoryOf(evaluation.step, rank_class, *places.nodes[rank_class], places.layout);
  };
  const bool too_large = !evaluation.not_written_out_because.empty() && ReplaysWholeStep(plan);
  if (options.replay_allocator && !cluster.device.is_cpu && !too_large) {
    HELM_ASSIGN_OR_RETURN(evaluation.reserved_of_class, ReservedMemory(plan, model, prices, places.workspaces));
    evaluation.prediction.memory_bytes_reserved = evaluation.reserved_of_class[fullest];
    evaluation.prediction.outside = outside_of(fullest);
    for (size_t c = 0; c < evaluation.reserved_of_class.size(); ++c) {
      const Bytes taken = evaluation.reserved_of_class[c] + outside_of(c).total(), device = MemoryCapacity(*places.nodes[c], 1);
      std::optional<MemoryOnRank>& tightest = evaluation.prediction.tightest;
      if (!tightest || device - taken < tightest->device - tightest->taken) tightest = {places.ranks[c], taken, device};
    }
    for (ir::RankSummary& rank : evaluation.simulation.timeline.ranks) {
      const size_t rank_class = ClassOfRank(evaluation.step, rank.rank);
      rank.memory_bytes_reserved = evaluation.reserved_of_class[rank_class];
      rank.memory_bytes_outside = outside_of(rank_class).total();
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
