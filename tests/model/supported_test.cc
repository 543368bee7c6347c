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
              testing::UnorderedElementsAre("main_parameters false: predicted with true", "expert_overlap true: predicted with false",
                                            "deterministic true: predicted with false"));
}

}  // namespace
}  // namespace helm::model
