// What a step takes at least, against what it simulates to.
#include "planner/time_bound.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "cost/chain.h"
#include "planner/evaluate.h"
#include "random_config.h"

namespace helm::planner {
namespace {

TimeBound BoundOf(const config::RunConfig& config, const cost::Estimator& estimator) {
  sim::PriceBook prices = MakePriceBook(estimator, config.cluster);
  PartBook parts(config, prices);
  auto bound = TimeLowerBound(config, config.strategy, parts);
  HELM_CHECK(bound.ok(), bound.status().message().c_str());
  return *bound;
}

// Of the optimizer and of nothing else it knows nothing, so there is always something that it leaves out.
RC_GTEST_PROP(TimeBound, NeverExceedsTheStep, ()) {
  config::RunConfig config = RandomConfig();
  if (*rc::gen::arbitrary<bool>()) ShareUnevenly(config);
  const ScatteredEstimator estimator = RandomPrices();
  const auto whole = Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, estimator, {.record_timeline = false});
  RC_PRE(whole.ok());
  const TimeBound bound = BoundOf(config, estimator);
  RC_LOG() << ir::Describe(config.strategy) << " layers " << config.model.layers << " batch " << config.workload.global_batch << "\n";
  RC_ASSERT(bound.step.picoseconds() > 0);
  RC_ASSERT(bound.computing.picoseconds() > 0);
  RC_ASSERT(bound.step <= whole->simulation.makespan);
  RC_ASSERT(bound.computing <= whole->simulation.makespan);
}

// What is gathered, and reduced into shards, takes the links' time: with one stage for every micro-batch, in a pipeline partly once a step.
RC_GTEST_PROP(TimeBound, NeverExceedsTheStepWhereParametersAreSharded, ()) {
  config::RunConfig config = LargeConfig();
  ShardParameters(config);
  ir::Strategy& strategy = config.strategy;
  if (strategy.fsdp_shard == 0) strategy.zero = 3;  // with zero 2 alone parameters are whole
  strategy.pipeline = *rc::gen::element<int64_t>(1, 2);
  if (strategy.pipeline > 1) {
    strategy.schedule = "1f1b";
    config.model.layers *= 2;
  }
  config.cluster.devices_used = strategy.world_size();
  const auto estimator = cost::MakeEstimator(config.cluster, {});
  RC_ASSERT(estimator.ok());
  const auto whole = Evaluate(MakePlan(config, strategy), config.model, config.cluster, **estimator, {.record_timeline = false});
  RC_PRE(whole.ok());
  const TimeBound bound = BoundOf(config, **estimator);
  RC_LOG() << ir::Describe(strategy) << " layers " << config.model.layers << " batch " << config.workload.global_batch << " shards "
           << strategy.fsdp_shard << " copies " << strategy.fsdp_replicate << " bound " << bound.step.picoseconds() << " computing "
           << bound.computing.picoseconds() << " step " << whole->simulation.makespan.picoseconds() << "\n";
  RC_ASSERT(bound.step <= whole->simulation.makespan);
  RC_ASSERT(bound.computing <= whole->simulation.makespan);
}

// `serial` starts collectives elsewhere than the lowering does, which can also make a step shorter: random steps with sequence parallelism
// did (8 layers, data 2 x tensor 2, ZeRO-1). Only what computes is sure.
TEST(TimeBound, OfStepsWithPassesIsThatOfComputing) {
  config::RunConfig config = SmallConfig(2);
  config.strategy.tensor = 2;
  config.strategy.sequence_parallel = true;
  const BytesEstimator estimator;
  const TimeBound plain = BoundOf(config, estimator);
  config.strategy.overlap = "serial";
  const TimeBound serial = BoundOf(config, estimator);
  EXPECT_LT(serial.step, plain.step);
  EXPECT_EQ(serial.step, plain.computing);
}

// With sharded parameters too, which the search takes to cost only time.
RC_GTEST_PROP(TimeBound, NeverExceedsTheStepOfALargeModel, ()) {
  config::RunConfig config = LargeConfig();
  if (config.strategy.expert == 1 && config.model.moe.experts == 0) config.strategy.zero = *rc::gen::inRange<int64_t>(0, 4);
  if (*rc::gen::arbitrary<bool>()) ShareUnevenly(config);
  const auto estimator = cost::MakeEstimator(config.cluster, {});
  RC_ASSERT(estimator.ok());
  const ir::Plan plan = MakePlan(config, config.strategy);
  auto step = Evaluate(plan, config.model, config.cluster, **estimator, {.record_timeline = false, .form = StepForm::kComposed});
  RC_PRE(step.ok());
  const TimeBound bound = BoundOf(config, **estimator);
  // A composed step where reductions contend is right to 0.5 % (DESIGN section 5, rule 8): the one that is written out decides.
  if (std::max(bound.step, bound.computing) > step->simulation.makespan) {
    step = Evaluate(plan, config.model, config.cluster, **estimator, {.record_timeline = false});
    RC_ASSERT(step.ok());
  }
  RC_LOG() << ir::Describe(config.strategy) << " layers " << config.model.layers << " batch " << config.workload.global_batch << " bound "
           << bound.step.seconds() << " step " << step->simulation.makespan.seconds() << "\n";
  RC_ASSERT(bound.step <= step->simulation.makespan);
  RC_ASSERT(bound.computing <= step->simulation.makespan);
}

// A pipeline gathers the embedding's table once a step, and with ZeRO-2 the layers too: sixteen micro-batches do not gather sixteen times.
TEST(TimeBound, ParametersThatAPipelineKeepsAreGatheredOnce) {
  for (const int64_t zero : {2, 3}) {
    config::RunConfig config = SmallConfig(8);
    RunOnGpus(config.cluster);
    config.model.layers = 4;
    config.model.vocab = 65536;
    config.workload.dtype = ir::DataType::kBFloat16;
    config.strategy.data = 4;
    config.strategy.pipeline = 2;
    config.strategy.schedule = "1f1b";
    config.strategy.zero = zero;
    if (zero == 2) config.strategy.fsdp_shard = 4;
    config.workload.global_batch = 64;
    const BytesEstimator estimator;
    const auto step = Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, estimator, {.record_timeline = false});
    ASSERT_TRUE(step.ok()) << step.status().message();
    const TimeBound bound = BoundOf(config, estimator);
    EXPECT_LE(bound.step, step->simulation.makespan) << "zero " << zero;
    EXPECT_LE(bound.computing, step->simulation.makespan) << "zero " << zero;
  }
}

config::RunConfig LargeModel() {
  config::RunConfig config = SmallConfig(8);
  RunOnGpus(config.cluster);
  config.cluster.devices_per_node = 8;
  config.model.layers = 16;
  config.model.hidden = 4096;
  config.model.ffn = 4 * config.model.hidden;
  config.model.heads = config.model.kv_heads = 32;
  config.model.head_dim = 128;
  config.model.vocab = 32000;
  config.workload.dtype = ir::DataType::kBFloat16;
  config.workload.sequence_length = 2048;
  config.workload.global_batch = 32;
  config.cluster.device.peak = {{"bf16", FlopsPerSecond::Tera(989)}};
  config.cluster.device.memory_bandwidth = BytesPerSecond::Gigabytes(3350);
  return config;
}

// Four stages of four layers, 16 micro-batches: within a fifth, the optimizer and what goes between stages and ranks.
TEST(TimeBound, IsNearWhatAFullPipelineTakes) {
  config::RunConfig config = LargeModel();
  config.strategy.pipeline = 4;
  config.strategy.data = 2;
  config.strategy.zero = 1;
  config.strategy.schedule = "1f1b";
  const auto estimator = cost::MakeEstimator(config.cluster, {});
  ASSERT_TRUE(estimator.ok());
  const auto step = Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, **estimator,
                             {.record_timeline = false, .form = StepForm::kComposed});
  ASSERT_TRUE(step.ok()) << step.status().message();
  const TimeBound bound = BoundOf(config, **estimator);
  EXPECT_LE(bound.step, step->simulation.makespan);
  EXPECT_GT(bound.step.seconds(), 0.8 * step->simulation.makespan.seconds());
}

// Eight experts over four data ranks and two tensor ranks fill a node: two such nodes tell of all, and parts are not found again for more.
TEST(TimeBound, OfManyExpertGroupsIsThatOfFew) {
  config::RunConfig config = LargeModel();
  config.model.family = model::Family::kMoe;
  config.model.moe = {.experts = 8, .top_k = 2, .ffn = 2048};
  config.strategy.tensor = 2;
  config.strategy.sequence_parallel = true;
  config.strategy.expert = 8;
  config.strategy.zero = 1;
  const auto estimator = cost::MakeEstimator(config.cluster, {});
  ASSERT_TRUE(estimator.ok());
  sim::PriceBook prices = MakePriceBook(**estimator, config.cluster);
  PartBook parts(config, prices);
  for (const int64_t data : {8, 16, 32}) {
    config.strategy.data = data;
    config.workload.global_batch = 8 * data;
    config.cluster.devices_used = config.strategy.world_size();
    config.cluster.node_count = config.cluster.devices_used / 8;
    const auto step = Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, **estimator,
                               {.record_timeline = false, .form = StepForm::kComposed});
    ASSERT_TRUE(step.ok()) << step.status().message();
    const auto bound = TimeLowerBound(config, config.strategy, parts);
    ASSERT_TRUE(bound.ok());
    EXPECT_LE(bound->step, step->simulation.makespan) << data;
    EXPECT_GT(bound->step.seconds(), 0.7 * step->simulation.makespan.seconds()) << data;
  }
  EXPECT_EQ(parts.found(), 1);
}

// What plans have in common is found once: as many layers, stages and micro-batches as they like.
TEST(TimeBound, PartsAreRemembered) {
  config::RunConfig config = SmallConfig(8);
  config.model.layers = 8;
  const BytesEstimator estimator;
  sim::PriceBook prices = MakePriceBook(estimator, config.cluster);
  PartBook parts(config, prices);
  const std::vector<ir::Strategy> candidates = EnumerateStrategies(config).candidates;
  for (const ir::Strategy& strategy : candidates) {
    const auto remembered = TimeLowerBound(config, strategy, parts);
    ASSERT_TRUE(remembered.ok());
    config.strategy = strategy;
    EXPECT_EQ(remembered->step, BoundOf(config, estimator).step) << ir::Describe(strategy);
  }
  EXPECT_LT(3 * parts.found(), 2 * static_cast<int64_t>(candidates.size()));
}

}  // namespace
}  // namespace helm::planner
