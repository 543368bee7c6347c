// Plans of several ranks on one GPU: the ranks are threads, their collectives copies and sums on it. Skipped, visibly, without a GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/gpu_facts.h"
#include "core/file.h"
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

// The kernels are those that run one by one otherwise, so the losses are the same to the last bit.
TEST(ExecGpu, GraphIsTheSameTraining) {
  if (cluster::ReadGpuFacts().empty()) GTEST_SKIP() << "no NVIDIA GPU";
  RunOptions options;
  options.steps = 8;
  const ir::Plan plan =
      OnGpu(MakePlan(ModelForGpu(), {.strategy = {.micro_batch = 2}, .dtype = ir::DataType::kBFloat16, .sequence_length = 16}), 1);
  const auto one_by_one = exec::Run(plan, options);
  ASSERT_TRUE(one_by_one.ok()) << one_by_one.status().message();
  options.cuda_graph = true;
  const auto graph = exec::Run(plan, options);
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  EXPECT_EQ(graph->losses, one_by_one->losses);
  // The graph's random state: two numbers, each in a block of 512 bytes (torch's CUDAGeneratorState).
  EXPECT_EQ(graph->memory_bytes_peak, one_by_one->memory_bytes_peak + Bytes(2 * 512));
  // Steps 1 and 2 are recorded, step 3 makes the graph, steps 4 to 7 run it.
  EXPECT_EQ(graph->timeline.steps.size(), 4u);
  EXPECT_FALSE(graph->timeline.events.empty());
  EXPECT_LT(graph->step_time, one_by_one->step_time) << "a model this small waits for the host";
}

TEST(ExecGpu, SnapshotNamesOps) {
  if (cluster::ReadGpuFacts().empty()) GTEST_SKIP() << "no NVIDIA GPU";
  RunOptions options;
  options.steps = 2;
  options.memory_snapshot = testing::TempDir() + "/helm_snapshot.pickle";
  const ir::Plan plan =
      OnGpu(MakePlan(ModelForGpu(), {.strategy = {.micro_batch = 2}, .dtype = ir::DataType::kBFloat16, .sequence_length = 16}), 1);
  const auto result = exec::Run(plan, options);
  ASSERT_TRUE(result.ok()) << result.status().message();
  const auto snapshot = ReadFile(options.memory_snapshot);
  ASSERT_TRUE(snapshot.ok());
  EXPECT_EQ(snapshot->substr(0, 2), "\x80\x02") << "a pickle of protocol 2";
  for (const char* part : {"segments", "device_traces", "aten.mm", "parameter"}) EXPECT_THAT(*snapshot, HasSubstr(part));
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
