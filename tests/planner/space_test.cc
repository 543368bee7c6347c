#include "planner/space.h"

#include <gtest/gtest.h>

#include "planner_fixture.h"

namespace helm::planner {
namespace {

std::vector<std::string> Described(const std::vector<ir::Strategy>& strategies) {
  std::vector<std::string> texts;
  for (const ir::Strategy& strategy : strategies) {
    texts.push_back((strategy.pipeline > 1 ? strategy.schedule + " " : "") + (strategy.zero > 0 ? "z" : "") +
                    std::to_string(strategy.data) + "x" + std::to_string(strategy.tensor) + (strategy.sequence_parallel ? "s" : "") + "/" +
                    std::to_string(strategy.micro_batch));
  }
  return texts;
}

// Two devices, batch 8, two layers. One stage: tensor 1 has data 2, 4 sequences a rank, micro-batches 1 2 4, with and without ZeRO; tensor
// 2 has data 1, 8 sequences, 1 2 4 8, with and without sequence parallelism. Two stages: one device each.
TEST(SpaceTest, ListsPipelineTensorSequenceZeroAndMicroBatch) {
  const Space space = EnumerateStrategies(SmallConfig(2));
  EXPECT_EQ(Described(space.candidates),
            (std::vector<std::string>{"2x1/1", "2x1/2", "2x1/4", "z2x1/1", "z2x1/2", "z2x1/4", "1x2/1", "1x2/2", "1x2/4", "1x2/8", "1x2s/1",
                                      "1x2s/2", "1x2s/4", "1x2s/8", "1f1b 1x1/1", "1f1b 1x1/2", "1f1b 1x1/4", "1f1b 1x1/8"}));
  EXPECT_TRUE(space.rejected.empty());
}

// Data 2 x tensor 2. Four experts over one or two data-parallel ranks, each split over the tensor ranks; where these have different tokens
// also whole, over two or all four ranks.
TEST(SpaceTest, SplitsExperts) {
  config::RunConfig config = SmallConfig(4);
  config.model.family = model::Family::kMoe;
  config.model.moe = {.experts = 4, .top_k = 2, .ffn = 32};
  config.strategy.data = config.strategy.tensor = 2;
  config.strategy_given = {"data", "tensor", "zero", "micro_batch"};
  std::vector<std::string> found;
  for (const ir::Strategy& strategy : EnumerateStrategies(config).candidates) {
    found.push_back((strategy.sequence_parallel ? "s" : "") + std::to_string(strategy.expert) + "x" +
                    std::to_string(strategy.expert_tensor));
  }
  EXPECT_EQ(found, (std::vector<std::string>{"1x2", "2x2", "s1x2", "s2x2", "s2x1", "s4x1"}));
  config.strategy.expert = 4;
  config.strategy_given.insert("expert");
  ASSERT_EQ(EnumerateStrategies(config).candidates.size(), 1U);
}

// Two devices. Sequences are split where they are long, or where the configuration says so; 32768 tokens over one or two ranks.
TEST(SpaceTest, SplitsLongSequences) {
  config::RunConfig config = SmallConfig(2);
  config.strategy.tensor = 1;
  config.strategy_given = {"tensor", "pipeline", "zero", "micro_batch"};
  const auto degrees = [&config] {
    std::vector<std::string> found;
    for (const ir::Strategy& strategy : EnumerateStrategies(config).candidates) {
      found.push_back(std::to_string(strategy.data) + "x" + std::to_string(strategy.context));
    }
    return found;
  };
  EXPECT_EQ(degrees(), (std::vector<std::string>{"2x1"}));
  config.workload.sequence_length = 32768;
  EXPECT_EQ(degrees(), (std::vector<std::string>{"2x1", "1x2"}));
  config.software.flash_attention = false;
  EXPECT_EQ(degrees(), (std::vector<std::string>{"2x1"}));
  config.software.flash_attention = true;
  config.workload.sequence_length = 12;
  config.strategy.context = 2;
  config.strategy_given.insert("context");
  EXPECT_EQ(degrees(), (std::vector<std::string>{"1x2"}));
}

TEST(SpaceTest, KeepsWhatTheConfigurationFixes) {
  config::RunConfig config = SmallConfig(2);
  config.strategy.tensor = 2;
  config.strategy.micro_batch = 4;
  config.strategy_given = {"tensor", "micro_batch"};
  EXPECT_EQ(Described(EnumerateStrategies(config).candidates), (std::vector<std::string>{"1x2/4", "1x2s/4"}));
}

// Three devices: tensor 3 does not divide 4 heads, and data 3 does not divide the batch of 8; nothing is left, each with its reason.
TEST(SpaceTest, RejectsWithAReason) {
  const Space space = EnumerateStrategies(SmallConfig(3));
  EXPECT_TRUE(space.candidates.empty());
  ASSERT_FALSE(space.rejected.empty());
  for (const Rejection& rejection : space.rejected) EXPECT_FALSE(rejection.reason.empty());
}

TEST(SpaceTest, ADegreeThatDoesNotFillTheClusterIsRejected) {
  config::RunConfig config = SmallConfig(4);
  config.strategy.data = 2;
  config.strategy.tensor = 1;
  config.strategy_given = {"data", "tensor", "pipeline"};
  const Space space = EnumerateStrategies(config);
  EXPECT_TRUE(space.candidates.empty());
  ASSERT_FALSE(space.rejected.empty());
  EXPECT_EQ(space.rejected.front().reason, "uses 2 of 4 devices");
}

TEST(SpaceTest, ForbiddenStrategiesAreLeftOut) {
  config::RunConfig config = SmallConfig(2);
  config.search.forbid = {{{{"tensor", "2"}}}, {{{"pipeline", "2"}}}, {{{"zero", "1"}}}};
  EXPECT_EQ(Described(EnumerateStrategies(config).candidates), (std::vector<std::string>{"2x1/1", "2x1/2", "2x1/4"}));
}

TEST(SpaceTest, OneDeviceHasOnlyMicroBatches) {
  EXPECT_EQ(Described(EnumerateStrategies(SmallConfig(1)).candidates), (std::vector<std::string>{"1x1/1", "1x1/2", "1x1/4", "1x1/8"}));
}

// What does not fit is tried again with recomputation, least first, unless the configuration says how much.
TEST(SpaceTest, RecomputationIsAFallback) {
  config::RunConfig config = SmallConfig(1);
  std::vector<std::string> words;
  for (const ir::Strategy& fallback : Fallbacks(config, config.strategy)) words.push_back(fallback.recompute);
  EXPECT_EQ(words, (std::vector<std::string>{"selective", "full"}));
  config.strategy_given = {"recompute"};
  EXPECT_TRUE(Fallbacks(config, config.strategy).empty());
}

TEST(SpaceTest, FullySharded) {
  config::RunConfig config = SmallConfig(2);
  ir::Strategy strategy = config.strategy;
  EXPECT_FALSE(FullySharded(config, strategy));  // of its zero-1 form only
  strategy.zero = 1;
  ASSERT_TRUE(FullySharded(config, strategy));
  EXPECT_EQ(FullySharded(config, strategy)->zero, 3);
  strategy.pipeline = 2;
  strategy.schedule = "interleaved-1f1b";
  EXPECT_FALSE(FullySharded(config, strategy));
  strategy.schedule = "1f1b";
  EXPECT_TRUE(FullySharded(config, strategy));
  config.search.forbid = {{{{"zero", "3"}}}};
  EXPECT_FALSE(FullySharded(config, strategy));
  config.search.forbid = {};
  config.strategy_given = {"zero"};
  EXPECT_FALSE(FullySharded(config, strategy));
}

TEST(FixedStrategyTest, MustUseTheWholeCluster) {
  const config::RunConfig config = SmallConfig(2);
  const Status status = CheckFixedStrategy(config);
  EXPECT_EQ(status.code(), StatusCode::kInvalid);
  EXPECT_NE(status.message().find("uses 1 of the cluster's 2 devices"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace helm::planner
