#include "planner/fewest_layers.h"

#include <vector>

#include <gtest/gtest.h>

#include "planner_fixture.h"

namespace helm::planner {
namespace {

// A memory of 100 bytes, and plans that need `least` and `each` more for every layer that is not computed again.
class Layers {
 public:
  Layers(int64_t layers, int64_t least, int64_t each) : config_(SmallConfig(1)), least_(least), each_(each) {
    config_.model.layers = layers;
    config_.software.framework = "helm";
    strategy_ = config_.strategy;
    strategy_.recompute = "full";
  }

  // The layers that are computed again, 0: no plan between none and all.
  int64_t Fewest() {
    Candidate none = PlanOf(0), full = PlanOf(config_.model.layers);
    full.strategy = strategy_;
    const Bytes lacks = none.prediction.memory_bytes_peak - none.prediction.memory_bytes_capacity;
    const auto fewest = FewestLayers(config_, {0, lacks}, full, [this](const ir::Strategy& strategy) -> Result<Candidate> {
      tried_.push_back(strategy.recompute_layers);
      EXPECT_EQ(strategy.recompute, "custom");
      Candidate candidate = PlanOf(strategy.recompute_layers);
      candidate.strategy = strategy;
      return candidate;
    });
    EXPECT_TRUE(fewest.ok());
    return fewest.ok() && fewest->has_value() ? (*fewest)->strategy.recompute_layers : 0;
  }

  config::RunConfig& config() { return config_; }
  ir::Strategy& strategy() { return strategy_; }
  const std::vector<int64_t>& tried() const { return tried_; }

 private:
  Candidate PlanOf(int64_t again) const {
    Candidate candidate;
    candidate.prediction.memory_bytes_capacity = Bytes(100);
    candidate.prediction.memory_bytes_peak = Bytes(least_ + each_ * (config_.model.layers - again));
    candidate.prediction.fits = candidate.prediction.memory_bytes_peak <= Bytes(100);
    return candidate;
  }

  config::RunConfig config_;
  ir::Strategy strategy_;
  int64_t least_, each_;
  std::vector<int64_t> tried_;
};

// 40 bytes and 10 a layer: 6 of 8 layers may keep everything. The line says so at once; 1 more is tried to know that it is too many.
TEST(FewestLayers, FindsWhereMemoryIsEnough) {
  Layers layers(8, 40, 10);
  EXPECT_EQ(layers.Fewest(), 2);
  EXPECT_EQ(layers.tried(), (std::vector<int64_t>{2, 1}));
}

// 100 bytes with all layers computed again: there is nothing between.
TEST(FewestLayers, MayBeAll) {
  Layers layers(4, 100, 10);
  EXPECT_EQ(layers.Fewest(), 0);
  EXPECT_EQ(layers.tried(), (std::vector<int64_t>{3}));
}

// Stages of 5 and 3 layers: what is counted is the layers of a chunk, at most 5.
TEST(FewestLayers, CountsInTheLargestChunk) {
  Layers layers(8, 20, 11);
  layers.strategy().pipeline = 2;
  layers.strategy().stages = {{0, 5}, {5, 8}};
  EXPECT_EQ(layers.Fewest(), 1);
}

TEST(FewestLayers, NeedAFrameworkThatCounts) {
  Layers layers(8, 40, 10);
  layers.config().software.framework = "torchtitan";
  EXPECT_EQ(layers.Fewest(), 0);
  EXPECT_TRUE(layers.tried().empty());
}

}  // namespace
}  // namespace helm::planner
