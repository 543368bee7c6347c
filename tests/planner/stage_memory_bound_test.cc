#include "planner/stage_memory_bound.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "cost/chain.h"
#include "ir/strategy_text.h"
#include "planner/evaluate.h"
#include "random_config.h"

namespace helm::planner {
namespace {

Bytes BoundOf(const config::RunConfig& config, const cost::Estimator& estimator) {
  sim::PriceBook prices = MakePriceBook(estimator, config.cluster);
  PartBook parts(config, prices);
  const auto bound = StageMemoryBounds(config, parts).Of(config.strategy);
  HELM_CHECK(bound.ok(), bound.status().message().c_str());
  return *bound;
}

void ExpectBelowPeak(const config::RunConfig& config, const cost::Estimator& estimator, StepForm form = EvaluateOptions().form) {
  const auto step =
      Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, estimator, {.record_timeline = false, .form = form});
  RC_PRE(step.ok());
  const Bytes bound = BoundOf(config, estimator);
  RC_LOG() << ir::Describe(config.strategy) << " layers " << config.model.layers << " batch " << config.workload.global_batch << " bound "
           << bound.count() << " peak " << step->simulation.peak.bytes.count() << "\n";
  RC_ASSERT(bound <= step->simulation.peak.bytes);
}

void RecomputeWholeLayers(ir::Strategy& strategy) {
  if (strategy.recompute != "custom" || *rc::gen::arbitrary<bool>()) {
    strategy = WithRecomputedLayers(strategy, *rc::gen::inRange<int64_t>(1, 5));
  }
}

RC_GTEST_PROP(StageMemoryBounds, NeverExceedTheSimulatedPeak, ()) {
  config::RunConfig config = RandomConfig();
  if (*rc::gen::arbitrary<bool>()) RecomputeWholeLayers(config.strategy);
  ExpectBelowPeak(config, RandomPrices());
}

// ZeRO-2, ZeRO-3 and FSDP, with whole gradients in a pipeline.
RC_GTEST_PROP(StageMemoryBounds, NeverExceedTheSimulatedPeakWhereParametersAreSharded, ()) {
  config::RunConfig config = RandomConfig();
  ShardParameters(config);
  config.strategy.pipeline = *rc::gen::element<int64_t>(1, 2, 4);
  if (config.strategy.pipeline > 1) {
    config.strategy.schedule = *rc::gen::element<std::string>("gpipe", "1f1b");
    config.model.layers *= config.strategy.pipeline;
  }
  config.cluster.devices_used = config.strategy.world_size();
  ExpectBelowPeak(config, RandomPrices());
}

RC_GTEST_PROP(StageMemoryBounds, NeverExceedTheSimulatedPeakOfALargeModel, ()) {
  config::RunConfig config = LargeConfig();
  if (*rc::gen::arbitrary<bool>()) RecomputeWholeLayers(config.strategy);
  if (config.strategy.expert == 1 && config.model.moe.experts == 0) config.strategy.zero = *rc::gen::inRange<int64_t>(0, 4);
  const auto estimator = cost::MakeEstimator(config.cluster, {});
  RC_ASSERT(estimator.ok());
  ExpectBelowPeak(config, **estimator, StepForm::kComposed);
}

}  // namespace
}  // namespace helm::planner
