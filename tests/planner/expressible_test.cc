// Searches for who can be told only some strategies.
#include <algorithm>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planner/search.h"
#include "planner/space.h"
#include "planner_fixture.h"

namespace helm::planner {
namespace {

Status Refuse(const std::string& what) { return InvalidError("error: the trainer cannot express " + what); }

// As torchtitan: no optimizer state sharded alone, tensor parallelism only with sequence parallelism.
Status AsTorchtitan(const ir::Strategy& strategy) {
  if (strategy.zero == 1) return Refuse("zero 1");
  if (strategy.tensor > 1 && !strategy.sequence_parallel) return Refuse("tensor without sequence_parallel");
  return OkStatus();
}

// Parameters are sharded in place of the optimizer's state alone; nothing else that was refused is left.
TEST(Expressible, OnlySuchAreCandidates) {
  const Space all = EnumerateStrategies(SmallConfig(4)), some = EnumerateStrategies(SmallConfig(4), AsTorchtitan);
  EXPECT_LT(some.candidates.size(), all.candidates.size());
  EXPECT_TRUE(std::ranges::all_of(some.candidates, [](const ir::Strategy& strategy) { return AsTorchtitan(strategy).ok(); }));
  EXPECT_TRUE(std::ranges::any_of(some.candidates, [](const ir::Strategy& strategy) { return strategy.zero == 3; }));
  EXPECT_TRUE(std::ranges::any_of(some.rejected, [](const Rejection& one) { return one.reason == Refuse("zero 1").message(); }));
}

// Where nothing fits without recomputation, nor with whole parameters, nothing else is put in the place of what does not fit.
TEST(Expressible, NoOtherIsEverPriced) {
  config::RunConfig config = SmallConfig(4);
  config.strategy_given = {"zero"};
  const auto roomy = Search(config, BytesEstimatorFactory(), {});
  ASSERT_TRUE(roomy.ok()) << roomy.status().message();
  int64_t smallest = std::numeric_limits<int64_t>::max();
  for (const Candidate& candidate : roomy->ranked) smallest = std::min(smallest, candidate.prediction.memory_bytes_peak.count());
  for (const ir::Strategy& strategy : EnumerateStrategies(config).candidates) {
    const auto one = Evaluate(MakePlan(config, strategy), config.model, config.cluster, BytesEstimator(), {.record_timeline = false});
    ASSERT_TRUE(one.ok()) << one.status().message();
    smallest = std::min(smallest, one->prediction.memory_bytes_peak.count());
  }
  config.cluster.device.memory = Bytes(4 * (smallest - 1));  // the ranks share it
  const auto again = Search(config, BytesEstimatorFactory(), {});
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_NE(again->best.plan.strategy.recompute, "none");
  const auto no_recompute = [](const ir::Strategy& one) { return one.recompute == "none" ? OkStatus() : Refuse("recompute"); };
  EXPECT_EQ(Search(config, BytesEstimatorFactory(), {.expressible = no_recompute}).status().code(), StatusCode::kInfeasible);
  const auto no_count = [](const ir::Strategy& one) { return one.recompute == "custom" ? Refuse("recompute of layers") : OkStatus(); };
  const auto whole = Search(config, BytesEstimatorFactory(), {.expressible = no_count});
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  for (const std::vector<Candidate>* candidates : {&whole->ranked, &whole->unfit}) {
    for (const Candidate& candidate : *candidates) EXPECT_TRUE(no_count(candidate.strategy).ok()) << ir::Describe(candidate.strategy);
  }
}

// What the configuration fixes and the trainer lacks is refused by name; what differs from strategy to strategy is not what stands in the
// way.
TEST(Expressible, WhatRefusesAllIsNamed) {
  config::RunConfig config = SmallConfig(4);
  config.strategy.zero = 1;
  config.strategy_given = {"zero"};
  const auto result = Search(config, BytesEstimatorFactory(), {.expressible = AsTorchtitan});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kInvalid);
  EXPECT_EQ(result.status().message(), Refuse("zero 1").message());
}

TEST(Expressible, WithoutACommonReasonNothingIsPossible) {
  const auto picky = [](const ir::Strategy& strategy) { return Refuse("micro_batch " + std::to_string(strategy.micro_batch)); };
  const auto result = Search(SmallConfig(2), BytesEstimatorFactory(), {.expressible = picky});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kInfeasible);
  EXPECT_THAT(result.status().message(), testing::HasSubstr("cannot express micro_batch 1"));
}

}  // namespace
}  // namespace helm::planner
