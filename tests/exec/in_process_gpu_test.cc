// Plans of several ranks on one GPU: the ranks are threads, their collectives copies and sums on it. Skipped, visibly, without a GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/gpu_facts.h"
#include "exec/run.h"
#include "training_plan.h"

namespace helm::exec {
namespace {

using ::testing::HasSubstr;

// Kernels of attention want heads whose size is a multiple of eight.
model::ModelSpec ModelForGpu() {
  model::ModelSpec model = LlamaModel();
  model.head_dim = 16;
  return model;
}

ir::Plan OnGpu(ir::Plan plan, int64_t ranks) {
  cluster::Cluster cluster = LocalCluster(ranks);
  cluster.device = {.name = "test GPU", .memory = Bytes::Gibibytes(8)};
  if (ranks > 1) cluster.intra_node = cluster::IntraNodeLink{"nvswitch", BytesPerSecond::Gigabytes(1)};
  plan.cluster = cluster::ToJson(cluster);
  return plan;
}

struct Composition {
  std::string name;
  ir::Strategy strategy;
};

class InProcessGpu : public ::testing::TestWithParam<Composition> {
 protected:
  void SetUp() override {
    if (cluster::ReadGpuFacts().empty()) GTEST_SKIP() << "no NVIDIA GPU";
  }
};

TEST_P(InProcessGpu, IsTheUnsplitModel) {
  const ir::Strategy& strategy = GetParam().strategy;
  RunOptions options;
  options.steps = 2;
  options.verify = true;
  options.in_process = true;
  const ir::Plan plan =
      MakePlan(ModelForGpu(), {.strategy = strategy, .dtype = ir::DataType::kBFloat16, .global_batch = 8, .sequence_length = 16});
  const auto result = exec::Run(OnGpu(plan, strategy.world_size()), options);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_TRUE(result->verify->passed()) << result->verify->worst.tensor << " " << result->verify->worst.error;
}

INSTANTIATE_TEST_SUITE_P(
    Compositions, InProcessGpu,
    testing::Values(Composition{"data4", {.data = 4, .micro_batch = 1}},
                    Composition{"tensor2_sequence_data2", {.data = 2, .tensor = 2, .sequence_parallel = true, .micro_batch = 2}},
                    Composition{"data2_zero3", {.data = 2, .zero = 3, .micro_batch = 2}},
                    Composition{"pipeline2_1f1b", {.pipeline = 2, .micro_batch = 1, .recompute = "full", .schedule = "1f1b"}}),
    [](const auto& info) { return info.param.name; });

// One rank in a process of its own: recorded and unrecorded steps, memory of the allocator.
TEST(ExecGpu, TrainsAndMeasures) {
  if (cluster::ReadGpuFacts().empty()) GTEST_SKIP() << "no NVIDIA GPU";
  RunOptions options;
  options.steps = 8;
  const ir::Plan plan = MakePlan(ModelForGpu(), {.strategy = {.micro_batch = 2}, .dtype = ir::DataType::kBFloat16, .sequence_length = 16});
  const auto result = exec::Run(OnGpu(plan, 1), options);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->losses.size(), 8u);
  EXPECT_LT(result->losses.back(), result->losses.front());
  EXPECT_GT(result->memory_bytes_peak.count(), 0);
  EXPECT_FALSE(result->timeline.events.empty());
  ASSERT_EQ(result->timeline.ranks.size(), 1u);
  EXPECT_TRUE(result->timeline.ranks.front().memory_bytes_reserved.has_value());
}

TEST(ExecGpu, EveryKindOfOpTimeIsTaken) {
  if (cluster::ReadGpuFacts().empty()) GTEST_SKIP() << "no NVIDIA GPU";
  RunOptions options;
  options.steps = 4;
  const ir::Plan plan =
      OnGpu(MakePlan(ModelForGpu(), {.strategy = {.micro_batch = 2}, .dtype = ir::DataType::kBFloat16, .sequence_length = 16}), 1);
  for (const runtime::OpTimes times : {runtime::OpTimes::kEvents, runtime::OpTimes::kActivities}) {
    options.op_times = times;
    const auto result = exec::Run(plan, options);
    ASSERT_TRUE(result.ok()) << result.status().message();
    Duration busy;
    for (const ir::TimelineEvent& event : result->timeline.events) busy += event.duration;
    EXPECT_GT(busy, Duration());
  }
}

}  // namespace
}  // namespace helm::exec
