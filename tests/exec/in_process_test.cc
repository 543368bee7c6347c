// All ranks as threads of one process: what they compute is what the unsplit model computes, and a rank that fails ends the others.
#include "exec/in_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/run.h"
#include "training_plan.h"

namespace helm::exec {
namespace {

using ::testing::HasSubstr;

RunOptions InProcess(int64_t steps = 2) {
  RunOptions options;
  options.plan_path = "plan.yaml";
  options.steps = steps;
  options.in_process = true;
  options.timeout = std::chrono::seconds(30);
  return options;
}

struct Composition {
  std::string name;
  ir::Strategy strategy;
  ir::DataType dtype = ir::DataType::kFloat32;
};

class InProcessParity : public ::testing::TestWithParam<Composition> {};

TEST_P(InProcessParity, IsTheUnsplitModel) {
  const auto& [name, strategy, dtype] = GetParam();
  model::ModelSpec model = LlamaModel();
  if (strategy.virtual_pipeline * strategy.pipeline > model.layers) model.layers = strategy.virtual_pipeline * strategy.pipeline;
  RunOptions options = InProcess();
  options.verify = true;
  const auto result = exec::Run(MakePlan(model, {.strategy = strategy, .dtype = dtype, .global_batch = 8}), options);
  ASSERT_TRUE(result.ok()) << result.status().message();
  ASSERT_TRUE(result->verify.has_value());
  EXPECT_TRUE(result->verify->passed()) << name << ": " << result->verify->worst.tensor << " " << result->verify->worst.error;
  EXPECT_EQ(result->losses.size(), 2u);
  EXPECT_EQ(result->memory_bytes_peak, Bytes());  // of all ranks together: nobody's own
  EXPECT_TRUE(result->timeline.memory.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Compositions, InProcessParity,
    testing::Values(
        Composition{"data4", {.data = 4, .micro_batch = 1}}, Composition{"tensor4", {.tensor = 4, .micro_batch = 2}},
        Composition{"data2_tensor2_sequence", {.data = 2, .tensor = 2, .sequence_parallel = true, .micro_batch = 2}},
        Composition{"data2_zero1_bf16", {.data = 2, .zero = 1, .micro_batch = 2}, ir::DataType::kBFloat16},
        Composition{"data4_zero3", {.data = 4, .zero = 3, .micro_batch = 1}},
        Composition{"pipeline2_1f1b_tensor2", {.tensor = 2, .pipeline = 2, .micro_batch = 1, .recompute = "full", .schedule = "1f1b"}},
        Composition{"pipeline2_interleaved", {.pipeline = 2, .virtual_pipeline = 2, .micro_batch = 1, .schedule = "interleaved-1f1b"}},
        Composition{"one", {.micro_batch = 2}}),
    [](const auto& info) { return info.param.name; });

// Sums are taken over the ranks in order: the same bits each time, whichever thread acts.
TEST(InProcess, LossesAreTheSameEachTime) {
  const ir::Plan plan = MakePlan(LlamaModel(), {.strategy = {.data = 3, .micro_batch = 1}, .global_batch = 6});
  const auto first = exec::Run(plan, InProcess(5));
  const auto second = exec::Run(plan, InProcess(5));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->losses, second->losses);
}

TEST(InProcess, ARankThatFailsEndsTheOthers) {
  RunOptions options = InProcess();
  options.fault = RankFault{1, {.action = runtime::Fault::Action::kError, .step = 1, .op = ir::OpId(size_t{3})}};
  const auto result = exec::Run(MakePlan(LlamaModel(), {.strategy = {.data = 2, .micro_batch = 1}, .global_batch = 4}), options);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kRankFailed);
  EXPECT_THAT(result.status().message(), HasSubstr("rank 1: op 3"));
}

class InProcessRankCount : public ::testing::TestWithParam<int64_t> {};

TEST_P(InProcessRankCount, AnInterruptionEndsAll) {
  RunOptions options = InProcess(1000000);
  std::atomic<bool> interrupted{false};
  options.interrupted = &interrupted;
  options.observer = [&interrupted](const RunEvent& event) { interrupted = interrupted || event.step == 2; };
  const auto result = exec::Run(MakePlan(LlamaModel(), {.strategy = {.data = GetParam(), .micro_batch = 1}, .global_batch = 4}), options);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kInterrupted);
}

INSTANTIATE_TEST_SUITE_P(OneAndTwo, InProcessRankCount, testing::Values(1, 2));

TEST(InProcess, IsNotForTheRanksOfALauncherNorForActivities) {
  RunOptions options = InProcess();
  options.op_times = runtime::OpTimes::kActivities;
  const ir::Plan plan = MakePlan(LlamaModel(), {.strategy = {.data = 2, .micro_batch = 1}, .global_batch = 4});
  EXPECT_EQ(exec::Run(plan, options).status().code(), StatusCode::kInvalid);
}

}  // namespace
}  // namespace helm::exec
