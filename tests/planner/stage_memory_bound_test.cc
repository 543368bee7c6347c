#include "planner/stage_memory_bound.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "cost/chain.h"
#include "ir/strategy_text.h"
#include "planner/evaluate.h"
#include "planner/memory_bound.h"
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

// Three times in four what parts of the model tell of: elsewhere the bound is MemoryLowerBound.
void MostlyTold(config::RunConfig& config) {
  if (*rc::gen::weightedElement<bool>({{1, true}, {3, false}})) return;
  config.model.lora = {};
  config.strategy.overlap = "none";
  if (!config.strategy.recompute_ops.empty()) config.strategy = WithRecomputedLayers(config.strategy, *rc::gen::inRange<int64_t>(1, 5));
}

RC_GTEST_PROP(StageMemoryBounds, NeverExceedTheSimulatedPeak, ()) {
  config::RunConfig config = RandomConfig();
  MostlyTold(config);
  if (*rc::gen::arbitrary<bool>()) RecomputeWholeLayers(config.strategy);
  if (*rc::gen::arbitrary<bool>()) ShareUnevenly(config);
  ExpectBelowPeak(config, RandomPrices());
}

// ZeRO-2, ZeRO-3 and FSDP, with whole gradients in a pipeline.
RC_GTEST_PROP(StageMemoryBounds, NeverExceedTheSimulatedPeakWhereParametersAreSharded, ()) {
  config::RunConfig config = RandomConfig();
  ShardParameters(config);
  MostlyTold(config);
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
  MostlyTold(config);
  if (*rc::gen::arbitrary<bool>()) RecomputeWholeLayers(config.strategy);
  if (config.strategy.expert == 1 && config.model.moe.experts == 0) config.strategy.zero = *rc::gen::inRange<int64_t>(0, 4);
  if (*rc::gen::arbitrary<bool>()) ShareUnevenly(config);
  const auto estimator = cost::MakeEstimator(config.cluster, {});
  RC_ASSERT(estimator.ok());
  ExpectBelowPeak(config, **estimator, StepForm::kComposed);
}

// Eight layers on one rank, one micro-batch of 8 x 12 = 96 tokens, fp32. A layer has 48 x 144 + 48 x 48 + 3 x 48 x 96 weights and two norms
// of 48, 23136; embedding and head 64 x 48 each. Parameter, gradient and two moments are 16 bytes. For its backward pass a layer keeps of a
// token its input 48, the norms' outputs 48 and reciprocal roots 1 each, query, key and value 144, attention's output 48 and 4 sums of
// exponentials, its output and input 48, gate, up and their product 96 each: 678 numbers. The head keeps the norm's 48 + 1, the logits 64
// and the sum of their exponentials. MemoryLowerBound knows of all but the layers' inputs nothing, and knows the final norm.
TEST(StageMemoryBounds, CountWhatLayersKeep) {
  config::RunConfig config = SmallConfig(1);
  config.model.layers = 8;
  config.strategy.micro_batch = 8;
  const BytesEstimator estimator;
  const int64_t state = 16 * (8 * 23136 + 2 * 64 * 48), kept = 4 * 96 * (8 * 678 + 114);
  EXPECT_EQ(BoundOf(config, estimator), Bytes(state + kept));
  EXPECT_EQ(MemoryLowerBound(config.model, config.workload, config.software, config.strategy), Bytes(state + 16 * 48 + 4 * 96 * 8 * 48));
  const auto step = Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, estimator, {.record_timeline = false});
  ASSERT_TRUE(step.ok()) << step.status().message();
  const Bytes peak = step->simulation.peak.bytes;
  EXPECT_LE(state + kept, peak.count());
  EXPECT_GT(static_cast<double>(state + kept), 0.98 * static_cast<double>(peak.count()));  // the other is 61 % of it
}

}  // namespace
}  // namespace helm::planner
