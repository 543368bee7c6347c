// Layers over the stages of a pipeline: the exact split by predicted times, and what the search does with it.
#include "planner/stage_split.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "planner/memory_bound.h"
#include "planner/search.h"
#include "planner/time_bound.h"
#include "random_config.h"

namespace helm::planner {
namespace {

// Only times of computing, half of each forward.
PartTimes Times(int64_t dense, int64_t experts, int64_t embedding, int64_t head) {
  const auto part = [](int64_t time) {
    const ResourceTimes half{.compute = time};
    Part both;
    both.forward.inner = half;
    both.backward.inner = half;
    return both;
  };
  return {{part(dense), part(experts)}, part(embedding), part(head)};
}

config::RunConfig Layers(int64_t layers, int64_t stages, int64_t micro_batches) {
  config::RunConfig config = SmallConfig(stages);
  RunOnGpus(config.cluster);
  config.workload.dtype = ir::DataType::kBFloat16;
  config.model.layers = layers;
  config.workload.global_batch = micro_batches;
  config.strategy.pipeline = stages;
  config.strategy.schedule = "1f1b";
  return config;
}

StageTimes OfAllStages(const ir::Strategy& strategy, const PartTimes& times) {
  return StageTimes(static_cast<size_t>(strategy.pipeline), &times);
}

std::vector<int64_t> Counts(const std::vector<ir::Stage>& stages) {
  std::vector<int64_t> counts;
  for (const ir::Stage& stage : stages) counts.push_back(stage.layers());
  return counts;
}

std::vector<int64_t> Balanced(const config::RunConfig& config, const PartTimes& times) {
  return Counts(BalancedStages(config, config.strategy, OfAllStages(config.strategy, times)));
}

// Every layer takes 2 x 10, the head as much as two of them: 32 layers on four stages are 34 / 4 = 8.5 layers, so one stage has to have 9
// with the head's; the last has 9 - 2, and of the other 25 the first, which holds the most micro-batches, has the 7 that nobody else takes.
// Without a head 8 each.
TEST(StageSplit, CountsTheHeadAsLayers) {
  EXPECT_THAT(Balanced(Layers(32, 4, 16), Times(10, 0, 0, 20)), testing::ElementsAre(7, 9, 9, 7));
  EXPECT_THAT(Balanced(Layers(32, 4, 16), Times(10, 0, 0, 0)), testing::ElementsAre(8, 8, 8, 8));
}

// 61 layers on 16 stages are 4 at most. Layers times micro-batches held are then most, 4 x 13, on the fourth stage: the three before it
// have 3.
TEST(StageSplit, SplitsAPrimeNumberOfLayers) {
  EXPECT_THAT(Balanced(Layers(61, 16, 64), Times(10, 0, 0, 0)), testing::ElementsAre(3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4));
}

// Three dense layers of a third of the time each: a stage has them and one more, 1 + 3 / 3 = 2, as the others.
TEST(StageSplit, DenseLayersAreCheaper) {
  config::RunConfig config = Layers(8, 3, 6);
  config.model.family = model::Family::kMoe;
  config.model.moe = {.experts = 4, .top_k = 2, .ffn = 24, .dense_layers = 3};
  EXPECT_THAT(Balanced(config, Times(10, 30, 0, 0)), testing::ElementsAre(4, 2, 2));
}

// A head of ten layers has a stage of its own. In its time the others could have ten layers too: 4 and 6, with 3 and 2 micro-batches held,
// are 12 each.
TEST(StageSplit, AnEndMayHaveNoLayer) { EXPECT_THAT(Balanced(Layers(10, 3, 6), Times(10, 0, 0, 100)), testing::ElementsAre(4, 6, 0)); }

TEST(StageSplit, NearlyEqualStagesDifferByOne) {
  EXPECT_THAT(Counts(NearlyEqualStages(61, 16)), testing::ElementsAre(3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4));
  EXPECT_THAT(Counts(NearlyEqualStages(5, 2)), testing::ElementsAre(2, 3));
  EXPECT_TRUE(NearlyEqualStages(8, 2).empty());
}

// The time of the slowest stage, then layers times micro-batches held where they are most, of every split there is.
using Cost = std::pair<int64_t, int64_t>;
Cost CostOf(const config::RunConfig& config, const std::vector<ir::Stage>& stages, const PartTimes& times) {
  ir::Strategy strategy = config.strategy;
  strategy.stages = stages;
  int64_t held = 0;
  for (size_t i = 0; i < stages.size(); ++i) {
    held = std::max(held, stages[i].layers() * MicroBatchesHeldBy(config.workload, strategy, static_cast<int64_t>(i)));
  }
  return {SlowestStage(config, strategy, OfAllStages(strategy, times)).picoseconds(), held};
}
void TryAll(const config::RunConfig& config, const PartTimes& times, std::vector<ir::Stage>& begun, std::optional<Cost>& best) {
  const int64_t next = begun.empty() ? 0 : begun.back().layer_end, stages = config.strategy.pipeline, layers = config.model.layers;
  if (std::ssize(begun) == stages) {
    if (next == layers) best = std::min(best.value_or(Cost{std::numeric_limits<int64_t>::max(), 0}), CostOf(config, begun, times));
    return;
  }
  const bool inner = !begun.empty() && std::ssize(begun) + 1 < stages;
  for (int64_t end = next + (inner ? 1 : 0); end <= layers; ++end) {
    begun.push_back({next, end});
    TryAll(config, times, begun, best);
    begun.pop_back();
  }
}

RC_GTEST_PROP(StageSplit, IsTheBestOfAll, ()) {
  const int64_t stages = *rc::gen::inRange<int64_t>(2, 6);
  const int64_t layers = *rc::gen::inRange<int64_t>(stages, 11);
  config::RunConfig config = Layers(layers, stages, *rc::gen::inRange<int64_t>(1, 9));
  config.strategy.schedule = *rc::gen::element<std::string>("1f1b", "gpipe", "zb-h1");
  config.model.family = model::Family::kMoe;
  config.model.moe = {.experts = 4, .top_k = 2, .ffn = 24};
  config.model.moe.dense_layers = *rc::gen::inRange<int64_t>(0, layers);
  const auto time = [] { return *rc::gen::inRange<int64_t>(0, 50); };
  PartTimes times = Times(time(), time(), time(), time());
  times.layer[0].backward.inner.host = time();
  times.head.forward.inner.host = time();
  std::optional<Cost> best;
  std::vector<ir::Stage> begun;
  TryAll(config, times, begun, best);
  RC_ASSERT(CostOf(config, BalancedStages(config, config.strategy, OfAllStages(config.strategy, times)), times) == *best);
}

// With random layers in every chunk, on GPUs and CPUs, of the orders with one chunk a stage and those with two; few micro-batches.
config::RunConfig RandomStages() {
  config::RunConfig config = RandomConfig();
  ir::Strategy& strategy = config.strategy;
  const int64_t chunks = strategy.pipeline * strategy.virtual_pipeline, layers = config.model.layers;
  if (strategy.pipeline == 1) return config;
  config.workload.global_batch = *rc::gen::element<int64_t>(1, 2) * strategy.pipeline * strategy.micro_batch * strategy.data;
  strategy.stages = {{0, *rc::gen::inRange<int64_t>(0, layers - chunks + 3)}};
  for (int64_t chunk = 1; chunk < chunks; ++chunk) {
    const int64_t first = strategy.stages.back().layer_end, later = chunks - chunk - 2;  // inner ones behind it
    const int64_t end = chunk + 1 == chunks ? layers : *rc::gen::inRange<int64_t>(first + 1, std::max(first + 2, layers - later + 1));
    strategy.stages.push_back({first, end});
  }
  return config;
}

// As they are given, or whatever they are.
RC_GTEST_PROP(StageSplit, BoundsNeverExceedTheStep, ()) {
  const config::RunConfig config = RandomStages();
  const ScatteredEstimator estimator = RandomPrices();
  const auto step = Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, estimator, {.record_timeline = false});
  RC_PRE(step.ok());
  RC_LOG() << ir::Describe(config.strategy) << " layers " << config.model.layers << "\n";
  sim::PriceBook prices = MakePriceBook(estimator, config.cluster);
  PartBook parts(config, prices);
  const auto bound = TimeLowerBound(config, config.strategy, parts);
  RC_ASSERT(bound.ok());
  RC_ASSERT(bound->step <= step->simulation.makespan);
  for (const StagesTaken stages : {StagesTaken::kAsGiven, StagesTaken::kAny}) {
    RC_ASSERT(MemoryLowerBound(config.model, config.workload, config.software, config.strategy, stages) <= step->simulation.peak.bytes);
  }
}

// 7 layers, 2 GPUs that can only be stages: 3 and 4 layers, or what the times say.
config::RunConfig SevenLayers() {
  config::RunConfig config = Layers(7, 2, 8);
  config.strategy.tensor = config.strategy.data = config.strategy.micro_batch = 1;
  config.strategy_given = {"data", "tensor", "micro_batch"};
  return config;
}

// The oracle: every split of two stages, written out.
TEST(StageSplit, TheSearchFindsTheFastestSplit) {
  const config::RunConfig config = SevenLayers();
  const auto result = Search(config, BytesEstimatorFactory(), {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  ir::Strategy strategy = result->best.plan.strategy;
  EXPECT_EQ(strategy.pipeline, 2);
  for (int64_t first = 0; first <= 7; ++first) {
    strategy.stages = {{0, first}, {first, 7}};
    const auto other = Evaluate(MakePlan(config, strategy), config.model, config.cluster, BytesEstimator(), {.record_timeline = false});
    ASSERT_TRUE(other.ok());
    EXPECT_LE(result->best.prediction.step_time, other->prediction.step_time) << first;
  }
}

// Eight layers: equal stages are in the space, and a vocabulary of which the head takes more than a layer makes others faster.
TEST(StageSplit, EqualStagesLoseToBalancedOnes) {
  config::RunConfig config = SevenLayers();
  config.model.layers = 8;
  config.model.vocab = 2048;
  const auto result = Search(config, BytesEstimatorFactory(), {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  const std::vector<ir::Stage>& stages = result->best.plan.strategy.stages;
  ASSERT_EQ(stages.size(), 2U);
  EXPECT_GT(stages[0].layers(), stages[1].layers());
  const auto is_equal = [](const Candidate& candidate) { return candidate.strategy.stages.empty(); };
  EXPECT_TRUE(std::ranges::any_of(result->ranked, is_equal) ||
              std::ranges::any_of(result->bounded, [](const Rejection& one) { return one.strategy.stages.empty(); }));
}

// In what space a search finds it does not depend on who is asked when.
TEST(StageSplit, ThreadsFindTheSameSplit) {
  const auto one = Search(SevenLayers(), BytesEstimatorFactory(), {});
  const auto many = Search(SevenLayers(), BytesEstimatorFactory(), {.threads = 3});
  ASSERT_TRUE(one.ok() && many.ok());
  EXPECT_EQ(one->best.plan.program_hash, many->best.plan.program_hash);
  ASSERT_EQ(one->ranked.size(), many->ranked.size());
  for (size_t i = 0; i < one->ranked.size(); ++i) EXPECT_EQ(one->ranked[i].strategy, many->ranked[i].strategy);
}

// DeepSpeed cuts stages by rules of its own.
TEST(StageSplit, AFrameworkThatCannotSayItIsToldOfStages) {
  config::RunConfig config = SevenLayers();
  config.software.framework = "deepspeed";
  const auto result = Search(config, BytesEstimatorFactory(), {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kInfeasible);
  EXPECT_THAT(result.status().message(), testing::HasSubstr("strategy.stages says how many each stage holds"));
  config.strategy.stages = {{0, 4}, {4, 7}};
  config.strategy.pipeline = 2;
  config.strategy.schedule = "1f1b";
  config.strategy_given.insert({"stages", "pipeline"});
  const auto by_hand = Search(config, BytesEstimatorFactory(), {});
  ASSERT_TRUE(by_hand.ok()) << by_hand.status().message();
  EXPECT_EQ(by_hand->best.plan.strategy.stages, config.strategy.stages);
}

}  // namespace
}  // namespace helm::planner
