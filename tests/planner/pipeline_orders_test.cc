#include "planner/pipeline_orders.h"

#include <gtest/gtest.h>

#include "planner_fixture.h"

namespace helm::planner {
namespace {

using Orders = std::vector<PipelineOrder>;

config::RunConfig OnGpus(const std::string& framework, int64_t layers) {
  config::RunConfig config = SmallConfig(8);
  config.cluster.device.is_cpu = false;
  config.software.framework = framework;
  config.model.layers = layers;
  return config;
}

// Twelve layers on two stages: chunks of 6, 3, 2 and 1 layers; the V of zb-v and DualPipeV has two chunks of 3 on each.
TEST(PipelineOrders, AreThoseOfTheFramework) {
  EXPECT_EQ(PipelineOrders(OnGpus("helm", 12), 2), (Orders{{"1f1b", 1},
                                                           {"zb-h1", 1},
                                                           {"zb-h2", 1},
                                                           {"zb-v", 2},
                                                           {"dualpipev", 2},
                                                           {"interleaved-1f1b", 2},
                                                           {"interleaved-1f1b", 3},
                                                           {"interleaved-1f1b", 6}}));
  EXPECT_EQ(PipelineOrders(OnGpus("megatron-core", 12), 4), (Orders{{"1f1b", 1}, {"interleaved-1f1b", 3}}));
  EXPECT_EQ(PipelineOrders(OnGpus("torchtitan", 6), 2), (Orders{{"1f1b", 1}, {"zb-h1", 1}, {"zb-h2", 1}, {"interleaved-1f1b", 3}}));
  EXPECT_EQ(PipelineOrders(OnGpus("deepspeed", 12), 2), (Orders{{"1f1b", 1}}));
}

TEST(PipelineOrders, OneStageHasNone) { EXPECT_EQ(PipelineOrders(OnGpus("helm", 12), 1), (Orders{{"none", 1}})); }

TEST(PipelineOrders, OnCpusThereIsOne) { EXPECT_EQ(PipelineOrders(SmallConfig(2), 2), (Orders{{"1f1b", 1}})); }

TEST(PipelineOrders, KeepWhatTheConfigurationGives) {
  config::RunConfig config = OnGpus("helm", 12);
  config.strategy.schedule = "zb-h1";
  config.strategy_given = {"schedule"};
  EXPECT_EQ(PipelineOrders(config, 2), (Orders{{"zb-h1", 1}}));
  config.strategy.virtual_pipeline = 3;
  config.strategy_given = {"virtual_pipeline"};
  EXPECT_EQ(PipelineOrders(config, 2), (Orders{{"interleaved-1f1b", 3}}));
}

}  // namespace
}  // namespace helm::planner
