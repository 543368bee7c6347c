// Whole runs: real processes, real training, and every way in which a rank can fail.
#include "exec/run.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "run_fixture.h"
#include "training_plan.h"

namespace helm::exec {
namespace {

using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

ir::Strategy TwoByOne() { return {.data = 2, .micro_batch = 1}; }

TEST_F(RunTest, TrainsAndRecords) {
  ir::Plan plan = MakePlan(LlamaModel(), {.strategy = TwoByOne()});
  plan.workload.optimizer.learning_rate = 1e-2;
  const Result<RunResult> result = RunWatched(plan, {.steps = 8});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->data, "shipped text");
  ASSERT_EQ(result->losses.size(), 8U);
  // Untrained: near the logarithm of the vocabulary, log 264 = 5.576. Learning rate 1e-2 on text that repeats letters: clearly lower after
  // 8 steps.
  EXPECT_NEAR(result->losses.front(), 5.576, 0.05);
  EXPECT_LT(result->losses.back(), 4.5);
  EXPECT_EQ(result->warm_up_steps, 2);
  EXPECT_EQ(result->timeline.steps.size(), 6U);
  EXPECT_EQ(result->timeline.title, "measured");
  EXPECT_EQ(result->timeline.ranks.size(), 2U);
  EXPECT_EQ(result->timeline.makespan, result->step_time);
  EXPECT_EQ(ir::PeakBytes(result->timeline), result->memory_bytes_peak);
  EXPECT_EQ(processes_.size(), 2U);
}

float LargestOf(const formats::TensorFile& file, const std::string& part_of_name) {
  float largest = 0;
  for (const formats::NamedTensor& tensor : file.tensors) {
    if (tensor.name.find(part_of_name) == std::string::npos) continue;
    for (size_t i = 0; i + sizeof(float) <= tensor.data.size(); i += sizeof(float)) {
      float value = 0;
      std::memcpy(&value, tensor.data.data() + i, sizeof value);
      largest = std::max(largest, std::abs(value));
    }
  }
  return largest;
}

// With the epsilon for small adapters (exec/verify.h), and a B that is not zero: A's first gradients are not. Gradients are dumped of A and
// B of 7 linear layers in each of 2 layers.
TEST_F(RunTest, VerifiesAdapters) {
  const ir::Plan plan = MakePlan(Adapted(LlamaModel()), {.strategy = {.data = 2, .tensor = 2, .zero = 1}});
  const std::string dump = folder_ + "/dump";
  const Result<RunResult> result = RunWatched(plan, {.steps = 2, .verify = true, .dump_state = dump});
  ASSERT_TRUE(result.ok()) << result.status().message();
  ASSERT_TRUE(result->verify.has_value());
  EXPECT_TRUE(result->verify->passed()) << Name(result->verify->worst.kind) << " " << result->verify->worst.tensor << " "
                                        << result->verify->worst.error;
  EXPECT_EQ(result->verify->adamw_epsilon, 0.1);
  const Result<formats::TensorFile> gradients = formats::ReadSafetensors(dump + "/gradients.safetensors");
  ASSERT_TRUE(gradients.ok());
  EXPECT_EQ(gradients->tensors.size(), 28U);
  EXPECT_GT(LargestOf(*gradients, "lora_A"), 0.0F);
}

TEST_F(RunTest, VerifiesAndDumps) {
  const ir::Plan plan = MakePlan(LlamaModel(), {.strategy = {.data = 2, .tensor = 2, .sequence_parallel = true}});
  const std::string dump = folder_ + "/dump";
  const Result<RunResult> result = RunWatched(plan, {.steps = 3, .verify = true, .dump_state = dump});
  ASSERT_TRUE(result.ok()) << result.status().message();
  ASSERT_TRUE(result->verify.has_value());
  EXPECT_TRUE(result->verify->passed()) << Name(result->verify->worst.kind) << " " << result->verify->worst.tensor << " "
                                        << result->verify->worst.error;
  EXPECT_EQ(result->verify->by_kind.size(), 3U);

  const Result<formats::TensorFile> initial = formats::ReadSafetensors(dump + "/initial.safetensors");
  const Result<formats::TensorFile> gradients = formats::ReadSafetensors(dump + "/gradients.safetensors");
  const Result<formats::TensorFile> tokens = formats::ReadSafetensors(dump + "/tokens.safetensors");
  ASSERT_TRUE(initial.ok() && gradients.ok() && tokens.ok());
  // 2 layers x (4 attention + 3 feed-forward + 2 norms) + embedding, final norm, head
  EXPECT_EQ(initial->tensors.size(), 21U);
  EXPECT_EQ(gradients->tensors.size(), 21U);
  EXPECT_EQ(2 * static_cast<int64_t>(initial->tensors.size()), result->verify->tensors);
  EXPECT_EQ(tokens->tensors[0].name, "tokens");
  EXPECT_EQ(tokens->tensors[0].shape, (ir::Shape{3, 4, 12}));
}

// Forward collectives of rank 0 during which it begins to compute something.
int64_t ForwardCollectivesBesideComputation(const ir::Timeline& timeline) {
  const auto op_of = [&](const ir::TimelineEvent& event) -> const ir::TimelineOp& { return timeline.ops[event.op.index()]; };
  const auto moves = [&](const ir::TimelineEvent& event) {
    return timeline.streams[static_cast<size_t>(event.stream)].kind == ir::Stream::Kind::kCommunication && op_of(event).layer >= 0 &&
           op_of(event).phase == "forward" && event.rank == 0;
  };
  const auto begins_within = [&](const ir::TimelineEvent& other, const ir::TimelineEvent& event) {
    return other.rank == event.rank && op_of(other).kind == "compute" && other.start > event.start &&
           other.start < event.start + event.duration;
  };
  return std::ranges::count_if(timeline.events, [&](const ir::TimelineEvent& event) {
    return moves(event) && std::ranges::any_of(timeline.events, [&](const auto& other) { return begins_within(other, event); });
  });
}

// As lowered, each forward collective is waited for before anything else is computed; with tiles the other tile computes meanwhile.
TEST_F(RunTest, TilesComputeWhileCollectivesMove) {
  ir::Plan plan = MakePlan(LlamaModel(), {.strategy = {.tensor = 2, .sequence_parallel = true, .micro_batch = 2}});
  const Result<RunResult> in_turn = RunWatched(plan, {.steps = 4});
  ASSERT_TRUE(in_turn.ok()) << in_turn.status().message();
  EXPECT_EQ(ForwardCollectivesBesideComputation(in_turn->timeline), 0);
  plan.strategy.overlap = "helix";
  const Result<RunResult> tiled = RunWatched(plan, {.steps = 4});
  ASSERT_TRUE(tiled.ok()) << tiled.status().message();
  EXPECT_GT(ForwardCollectivesBesideComputation(tiled->timeline), 4);
}

// Over a network of 2 ms latency each collective takes that, computation begins meanwhile, and the model learns the same.
TEST_F(RunTest, TilesComputeWhileASlowNetworkMoves) {
  ir::Plan plan = MakePlan(LlamaModel(), {.strategy = {.tensor = 2, .sequence_parallel = true, .micro_batch = 2, .overlap = "lattice"}});
  cluster::Cluster cluster = LocalCluster(2);
  const Duration latency = Duration::Milliseconds(2);
  cluster.emulated_network = {latency, BytesPerSecond::Gigabits(1)};
  plan.cluster = cluster::ToJson(cluster);
  const Result<RunResult> result = RunWatched(plan, {.steps = 3, .verify = true});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_TRUE(result->verify->passed());
  EXPECT_GT(ForwardCollectivesBesideComputation(result->timeline), 4);
  int64_t collectives = 0;
  for (const ir::TimelineEvent& event : result->timeline.events) {
    const ir::TimelineOp& op = result->timeline.ops[event.op.index()];
    if (result->timeline.streams[static_cast<size_t>(event.stream)].kind != ir::Stream::Kind::kCommunication) continue;
    EXPECT_GE(event.duration, latency) << op.target;
    ++collectives;
  }
  EXPECT_GT(collectives, 16);  // of two layers, two tiles: four in forward each
}

TEST_F(RunTest, NamesTheRankThatIsKilled) {
  const auto started = Clock::now();
  const Result<RunResult> result =
      RunWatched(MakePlan(LlamaModel(), {.strategy = TwoByOne()}), {.steps = 100000, .dump_state = folder_ + "/dump"}, [&](int64_t step) {
        if (step == 3) kill(processes_[1], SIGKILL);
      });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kRankFailed);
  EXPECT_THAT(result.status().message(), HasSubstr("rank 1 was killed by signal 9 (Killed) while training, in step "));
  EXPECT_LT(Clock::now() - started, std::chrono::seconds(60));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/dump"));
}

TEST_F(RunTest, NamesTheRankThatHangsWithinTheTimeout) {
  Clock::time_point stopped;
  const Result<RunResult> result = RunWatched(MakePlan(LlamaModel(), {.strategy = TwoByOne()}),
                                              {.steps = 100000, .timeout = std::chrono::milliseconds(8000)}, [&](int64_t step) {
                                                if (step != 3) return;
                                                stopped = Clock::now();
                                                kill(processes_[1], SIGSTOP);
                                              });
  const auto took = Clock::now() - stopped;
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kRankFailed);
  EXPECT_THAT(result.status().message(), HasSubstr("rank 1 is stopped while training, in step "));
  EXPECT_THAT(result.status().message(), HasSubstr(" s (--timeout)"));
  EXPECT_LT(took, std::chrono::seconds(8 + 4));  // the ranks are looked at ten times a second, and then ended; this machine may be busy
}

TEST_F(RunTest, NamesTheStepThatDiverges) {
  ir::Plan plan = MakePlan(LlamaModel(), {.strategy = TwoByOne()});
  plan.workload.optimizer.learning_rate = 1e30;
  const Result<RunResult> result = RunWatched(plan, {.steps = 20});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kRankFailed);
  EXPECT_THAT(result.status().message(), HasSubstr("diverged: the loss of step "));
}

TEST_F(RunTest, StopsWhenInterrupted) {
  std::atomic<bool> interrupted = false;
  const Result<RunResult> result =
      RunWatched(MakePlan(LlamaModel(), {.strategy = TwoByOne()}), {.steps = 100000, .interrupted = &interrupted},
                 [&](int64_t step) { interrupted = step >= 2; });
  EXPECT_EQ(result.status().code(), StatusCode::kInterrupted);
}

TEST_F(RunTest, RefusesWhatDoesNotFit) {
  ir::Plan plan = MakePlan(LlamaModel(), {.strategy = {}});
  EXPECT_THAT(RunWatched(plan, {.steps = 0}).status().message(), HasSubstr("--steps is 0"));
  EXPECT_THAT(RunWatched(plan, {.steps = 1, .data = "/nowhere"}).status().message(), HasSubstr("/nowhere: error: no such file or folder"));
  plan.program_hash = "0123456789abcdef";
  const Result<RunResult> other = RunWatched(plan, {.steps = 1});
  EXPECT_EQ(other.status().code(), StatusCode::kInvalid);
  EXPECT_THAT(other.status().message(), HasSubstr("the plan was made for 0123456789abcdef"));
}

}  // namespace
}  // namespace helm::exec
