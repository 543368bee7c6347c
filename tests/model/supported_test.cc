#include "model/supported.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace helm::model {
namespace {

// Switches that the lowering does not honour, each set to what is not HELM's own.
ir::Software Foreign() {
  ir::Software software;
  software.framework = "foreign";
  software.expert_overlap = true;
  software.pipeline_sync = true;
  software.gradient_reduce_overlap = false;
  software.main_parameters = false;
  software.deterministic = true;
  return software;
}

TEST(UnmodelledSwitches, NamesWhatTheTrainingComesTo) {
  ModelSpec model;
  ir::Workload workload;
  workload.dtype = ir::DataType::kFloat32;
  ir::Strategy strategy;
  EXPECT_THAT(UnmodelledSwitches(model, workload, Foreign(), strategy), testing::ElementsAre("deterministic true: predicted with false"));
  workload.dtype = ir::DataType::kBFloat16;
  model.moe.experts = 8;
  strategy.data = strategy.pipeline = 2;
  EXPECT_THAT(UnmodelledSwitches(model, workload, Foreign(), strategy),
              testing::UnorderedElementsAre("expert_overlap true: predicted with false", "deterministic true: predicted with false"));
}

// With ZeRO-1 a rank's part of the optimizer state always has fp32 copies of the parameters.
TEST(UnmodelledSwitches, ShardedStateHasMainParameters) {
  ir::Software software;
  software.main_parameters = false;
  ir::Workload workload;
  workload.dtype = ir::DataType::kBFloat16;
  ir::Strategy strategy;
  strategy.data = 2;
  strategy.zero = 1;
  EXPECT_THAT(UnmodelledSwitches({}, workload, software, strategy), testing::ElementsAre("main_parameters false: predicted with true"));
}

TEST(UnsupportedFeatures, HelmsOwnExecutorKeepsItsStateInFp32) {
  ir::Software software;
  software.optimizer_state = ir::Precision::kCompute;
  EXPECT_EQ(UnsupportedFeatures({}, {}, software, {}).size(), 0U);
  software.framework = "helm";
  EXPECT_EQ(UnsupportedFeatures({}, {}, software, {}).size(), 1U);
}

}  // namespace
}  // namespace helm::model
