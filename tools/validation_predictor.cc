#include "tools/validation_predictor.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "cluster/cluster_reader.h"
#include "cluster/device_groups.h"
#include "cost/chain.h"
#include "cost/error_bands.h"
#include "model/supported.h"
#include "planner/evaluate.h"
#include "planner/space.h"

namespace helm::tools {
namespace {

validation::Prediction::Memory OfStages(const std::vector<Bytes>& bytes) {
  return {static_cast<double>(bytes.front().count()), static_cast<double>(bytes.back().count()),
          static_cast<double>(std::ranges::max(bytes).count())};
}

// One thread's: prices are remembered, so rows of one cluster share a book.
class RowPredictor {
 public:
  RowPredictor(std::shared_ptr<const std::vector<cost::CostTable>> tables, const cost::FittedConstants& constants)
      : tables_(std::move(tables)), constants_(constants) {}

  Result<validation::Prediction> operator()(const config::RunConfig& config, bool all_memory) {
    HELM_RETURN_IF_ERROR(cluster::RefuseGroups(config.cluster, "helm-validate", "predict the run with helm-sim"));
    HELM_RETURN_IF_ERROR(planner::CheckFixedStrategy(config));
    cost::ChainOptions chain = cost::ChainOptionsOf(config.software);
    chain.constants = constants_;
    HELM_ASSIGN_OR_RETURN(sim::PriceBook * prices, PricesFor(config.cluster, chain));
    // What kernels and collectives that overlap take from each other takes minutes to find in interleaved pipelines, and moments elsewhere.
    // Where launches block nothing overlaps.
    const bool alone = config.strategy.virtual_pipeline > 1 || config.software.launch_blocking;
    const sim::Engine engine = alone ? sim::Engine::kStatic : sim::Engine::kAutomatic;
    const planner::EvaluateOptions options{
        .record_timeline = false, .form = planner::StepForm::kComposed, .engine = engine, .replay_allocator = all_memory};
    HELM_ASSIGN_OR_RETURN(const planner::Evaluation evaluation,
                          planner::Evaluate(planner::MakePlan(config, config.strategy), config.model, config.cluster, *prices, options));
    validation::Prediction prediction;
    prediction.step_time_s = evaluation.prediction.step_time.seconds();
    prediction.allocated = OfStages(evaluation.simulation.peak_of_class);
    if (std::vector<Bytes> total = evaluation.reserved_of_class; !total.empty()) {
      prediction.reserved = OfStages(total);
      for (size_t c = 0; c < total.size(); ++c) total[c] += planner::OutsideMemoryOf(evaluation.step, c, config.cluster).total();
      prediction.total = OfStages(total);
    }
    const bool quantized = config.workload.quantization != ir::Quantization::kNone;
    const auto kinds = cost::RunKindsOf(config.cluster.device, quantized, evaluation.prediction.sources.measured);
    if (!kinds.empty()) prediction.run_kind = kinds.front();
    prediction.step_time_band_s = planner::BandSecondsOf(evaluation.prediction);
    prediction.document = planner::ToJson(evaluation.prediction);
    prediction.not_modelled = evaluation.not_modelled;
    prediction.written_out_because = evaluation.written_out_because;
    return prediction;
  }

 private:
  struct Pricing {
    std::unique_ptr<cost::Estimator> estimator;
    std::unique_ptr<sim::PriceBook> prices;
  };

  Result<sim::PriceBook*> PricesFor(const cluster::Cluster& cluster, const cost::ChainOptions& options) {
    Pricing& pricing = pricings_[{cluster::ToJson(cluster).dump(), options}];
    if (pricing.estimator == nullptr) {
      std::vector<cost::CostTable> fitting;
      for (const cost::CostTable& table : *tables_) {
        if (cost::SameDevice(table.device, cost::DeviceKeyOf(cluster))) fitting.push_back(table);
      }
      HELM_ASSIGN_OR_RETURN(pricing.estimator, cost::MakeEstimator(cluster, fitting, options));
      pricing.prices = std::make_unique<sim::PriceBook>(planner::MakePriceBook(*pricing.estimator, cluster));
    }
    return pricing.prices.get();
  }

  std::shared_ptr<const std::vector<cost::CostTable>> tables_;
  cost::FittedConstants constants_;
  std::map<std::pair<std::string, cost::ChainOptions>, Pricing> pricings_;  // by cluster and what runs on it
};

}  // namespace

Result<validation::PredictorFactory> MakeValidationPredictorFactory(const std::vector<std::string>& cost_tables,
                                                                    const cost::FittedConstants& constants) {
  const auto tables = std::make_shared<std::vector<cost::CostTable>>();
  for (const std::string& path : cost_tables) {
    HELM_ASSIGN_OR_RETURN(auto table, cost::ReadCostTable(path));
    tables->push_back(std::move(table));
  }
  return validation::PredictorFactory([tables, constants]() -> Result<validation::Predictor> {
    const auto predictor = std::make_shared<RowPredictor>(tables, constants);
    return validation::Predictor(
        [predictor](const config::RunConfig& config, bool all_memory) { return (*predictor)(config, all_memory); });
  });
}

}  // namespace helm::tools
