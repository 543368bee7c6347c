#include "tools/validation_predictor.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "cluster/cluster_reader.h"
#include "cost/chain.h"
#include "model/supported.h"
#include "planner/evaluate.h"
#include "planner/space.h"

namespace helm::tools {
namespace {

// One thread's: estimators remember what they were asked, so rows of one cluster share one.
class RowPredictor {
 public:
  explicit RowPredictor(std::shared_ptr<const std::vector<cost::CostTable>> tables) : tables_(std::move(tables)) {}

  Result<validation::Prediction> operator()(const config::RunConfig& config) {
    HELM_RETURN_IF_ERROR(planner::CheckFixedStrategy(config));
    HELM_ASSIGN_OR_RETURN(const cost::Estimator* estimator, EstimatorFor(config.cluster, cost::HostThreadOf(config.software)));
    const planner::EvaluateOptions options{
        .memory_fraction = config.search.memory_fraction, .record_timeline = false, .steady_state = true};
    HELM_ASSIGN_OR_RETURN(const planner::Evaluation evaluation,
                          planner::Evaluate(planner::MakePlan(config, config.strategy), config.model, config.cluster, *estimator, options));
    validation::Prediction prediction;
    prediction.step_time_s = evaluation.prediction.step_time.seconds();
    const auto bytes = static_cast<double>(evaluation.prediction.memory_bytes_peak.count());
    prediction.allocated = {bytes, bytes, bytes};
    prediction.document = planner::ToJson(evaluation.prediction);
    prediction.not_modelled = model::UnmodelledSwitches(config.software);
    return prediction;
  }

 private:
  Result<const cost::Estimator*> EstimatorFor(const cluster::Cluster& cluster, cost::HostThread host) {
    std::unique_ptr<cost::Estimator>& estimator = estimators_[{cluster::ToJson(cluster).dump(), host}];
    if (estimator == nullptr) {
      std::vector<cost::CostTable> fitting;
      for (const cost::CostTable& table : *tables_) {
        if (cost::SameDevice(table.device, cost::DeviceKeyOf(cluster))) fitting.push_back(table);
      }
      HELM_ASSIGN_OR_RETURN(estimator, cost::MakeEstimator(cluster, fitting, {.host = host}));
    }
    return estimator.get();
  }

  std::shared_ptr<const std::vector<cost::CostTable>> tables_;
  std::map<std::pair<std::string, cost::HostThread>, std::unique_ptr<cost::Estimator>> estimators_;  // by cluster
};

}  // namespace

Result<validation::PredictorFactory> MakeValidationPredictorFactory(const std::vector<std::string>& cost_tables) {
  const auto tables = std::make_shared<std::vector<cost::CostTable>>();
  for (const std::string& path : cost_tables) {
    HELM_ASSIGN_OR_RETURN(auto table, cost::ReadCostTable(path));
    tables->push_back(std::move(table));
  }
  return validation::PredictorFactory([tables]() -> Result<validation::Predictor> {
    const auto predictor = std::make_shared<RowPredictor>(tables);
    return validation::Predictor([predictor](const config::RunConfig& config) { return (*predictor)(config); });
  });
}

}  // namespace helm::tools
