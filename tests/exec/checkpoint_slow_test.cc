// A checkpoint read by another split, there and back; and runs whose ranks are killed at each moment of writing one.
#include <chrono>
#include <csignal>
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "checkpoint_fixture.h"
#include "core/file.h"
#include "exec/comparison.h"
#include "run_fixture.h"
#include "schedule/materialise.h"

namespace helm::exec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

PlanSettings Fp32(ir::Strategy strategy) { return {.strategy = std::move(strategy)}; }

PlanSettings TensorAndPipeline() {
  PlanSettings settings = Fp32({.tensor = 2, .micro_batch = 2});
  settings.strategy.pipeline = 2;
  settings.strategy.schedule = "1f1b";
  return settings;
}

struct Pair {
  std::string name;
  model::ModelSpec model;
  PlanSettings a;
  PlanSettings b;
  friend void PrintTo(const Pair& pair, std::ostream* stream) { *stream << pair.name; }
};

std::vector<Pair> Pairs() {
  PlanSettings experts = Fp32({.data = 2, .micro_batch = 1});
  experts.strategy.expert = 2;
  PlanSettings experts_split = Fp32({.tensor = 2});
  experts_split.strategy.expert_tensor = 2;
  PlanSettings narrow = Fp32({.data = 2, .zero = 1, .micro_batch = 1});
  PlanSettings narrow_split = TensorAndPipeline();
  narrow.dtype = narrow_split.dtype = ir::DataType::kBFloat16;
  const PlanSettings data = Fp32({.data = 4, .micro_batch = 1});
  return {
      {"DataAndSplit", LlamaModel(), data, TensorAndPipeline()},
      {"TiedAndSharded", Gpt2Model(), Fp32({.data = 2, .zero = 1, .micro_batch = 1}), TensorAndPipeline()},
      {"PaddedAndFullySharded", PaddedModel(), Fp32({.data = 4, .zero = 3, .micro_batch = 1}),
       Fp32({.tensor = 4, .sequence_parallel = true})},
      {"Experts", MoeModel(), experts, experts_split},
      {"Bf16", Qwen2Model(), narrow, narrow_split},
  };
}

// Two steps of one split, then one of the other, then one of the first again.
class TopologyTest : public CheckpointTest, public testing::WithParamInterface<Pair> {};

INSTANTIATE_TEST_SUITE_P(Pairs, TopologyTest, testing::ValuesIn(Pairs()), [](const auto& info) { return info.param.name; });

Result<StateDump> Dump(const CheckpointRun& run) { return CollectDump({run.job, run.record}); }

// Losses and parameters of the unsplit model that was never interrupted, from step `first` on, against a run's.
void ExpectWithinBounds(const CheckpointRun& run, const CheckpointRun& reference) {
  const VerifyBounds bounds = BoundsFor(run.job.plan.workload.dtype);
  const auto step = schedule::Materialise(run.job.plan);
  const auto unsplit = Dump(reference);
  ASSERT_TRUE(step.ok() && unsplit.ok());
  Comparison comparison(bounds, run.job.steps, run.job.first_step);
  const std::span<const double> losses(reference.record.losses);
  comparison.AddLosses(run.record.losses, losses.subspan(static_cast<size_t>(run.job.first_step), run.record.losses.size()));
  for (int64_t rank = 0; rank < run.job.plan.strategy.world_size(); ++rank) {
    const auto state = ReadState(run.job, step->OfRank(rank), VerifyKind::kParameter, rank);
    ASSERT_TRUE(state.ok()) << state.status().message();
    if (bounds.parameter_by_update) {
      comparison.AddUpdates(step->OfRank(rank), rank, *state, unsplit->updated,
                            run.job.plan.workload.optimizer.learning_rate * static_cast<double>(AllSteps(run.job)));
    } else {
      comparison.AddState(VerifyKind::kParameter, step->OfRank(rank), rank, *state, unsplit->updated);
    }
  }
  const VerifyResult result = comparison.Finish();
  EXPECT_TRUE(result.passed()) << Name(result.worst.kind) << " " << result.worst.tensor << " " << result.worst.error;
}

void ExpectSameState(const UnsplitState& a, const UnsplitState& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) EXPECT_EQ(tensor.values, b.at(name).values) << name;
}

TEST_P(TopologyTest, ThereAndBack) {
  const Pair& pair = GetParam();
  const ir::Plan a = PlanOf(pair.model, pair.a), b = PlanOf(pair.model, pair.b);
  const auto before = Run(a, 0, 2, {.folder = folder()});
  ASSERT_TRUE(before.ok()) << before.status().message();
  const auto there = Run(b, 2, 4, {.folder = folder(), .resume = CheckpointPath(folder(), 2)});
  ASSERT_TRUE(there.ok()) << there.status().message();
  const auto back = Run(a, 4, 6, {.resume = CheckpointPath(folder(), 4)});
  ASSERT_TRUE(back.ok()) << back.status().message();
  // What a split reads is what the other wrote, to the last bit.
  const auto left = Dump(*before), found = Dump(*there), home = Dump(*back);
  ASSERT_TRUE(left.ok() && found.ok() && home.ok());
  ExpectSameState(found->initial, left->updated);
  ExpectSameState(home->initial, found->updated);
  // And it goes on as if nothing had been.
  const ir::Plan unsplit = schedule::UnsplitPlan(a);
  const auto four = Run(unsplit, 0, 4), six = Run(unsplit, 0, 6);
  ASSERT_TRUE(four.ok() && six.ok());
  ExpectWithinBounds(*there, *four);
  ExpectWithinBounds(*back, *six);
}

// Moments count: a resume that forgot them would be far outside of the bounds.
class MomentTest : public CheckpointTest {};

TEST_F(MomentTest, BoundsSeeForgottenMoments) {
  const ir::Plan plan = PlanOf(LlamaModel(), Fp32({.data = 2, .micro_batch = 1}));
  const auto whole = Run(schedule::UnsplitPlan(plan), 0, 4);
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  ir::Plan faster = plan;
  faster.workload.optimizer.beta1 = 0.0;  // as if the first moment were not there
  const auto before = Run(plan, 0, 2, {.folder = folder()});
  const auto after = Run(faster, 2, 4, {.resume = CheckpointPath(folder(), 2)});
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_GT(std::abs(after->record.losses.back() - whole->record.losses.back()) / whole->record.losses.back(),
            10 * BoundsFor(plan.workload.dtype).loss);
}

constexpr int64_t kSteps = 6;

struct Kill {
  int64_t rank = 0;
  CheckpointMoment moment = CheckpointMoment::kBegin;
  int64_t resumes_from = 2;  // the checkpoints are of steps 2, 4 and 6, and the fault is in that of 4
};

class KillTest : public RunTest {
 protected:
  Result<RunResult> RunPlan(const CheckpointOptions& checkpoint) {
    return RunWatched(plan_, {.steps = kSteps, .dump_state = folder_ + "/dump", .checkpoint = checkpoint});
  }
  std::string Parameters() const { return ReadFile(folder_ + "/dump/updated.safetensors").value(); }

  const ir::Plan plan_ = MakePlan(LlamaModel(), {.strategy = {.data = 2, .zero = 1, .micro_batch = 1}});
};

TEST_F(KillTest, AtEachMomentOfACheckpoint) {
  const Result<RunResult> whole = RunPlan({});
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  const std::string parameters = Parameters();
  const std::vector<Kill> kills = {
      {0, CheckpointMoment::kBegin},        {0, CheckpointMoment::kFolderMade},   {0, CheckpointMoment::kParameters},
      {1, CheckpointMoment::kParameters},   {0, CheckpointMoment::kOptimizer},    {1, CheckpointMoment::kOptimizer},
      {0, CheckpointMoment::kShardWritten}, {1, CheckpointMoment::kShardWritten}, {0, CheckpointMoment::kBeforeIndex},
      {0, CheckpointMoment::kBeforeRename}, {0, CheckpointMoment::kRenamed, 4},   {0, CheckpointMoment::kRemoving, 4}};
  for (const Kill& kill : kills) {
    SCOPED_TRACE(fmt::format("rank {} moment {}", kill.rank, static_cast<int>(kill.moment)));
    const std::string checkpoints = folder_ + "/checkpoints";
    std::filesystem::remove_all(checkpoints);
    const Result<RunResult> killed =
        RunPlan({.folder = checkpoints, .every = 2, .keep = 1, .fault = CheckpointFault{kill.rank, 4, kill.moment}});
    ASSERT_FALSE(killed.ok());
    EXPECT_THAT(killed.status().message(),
                HasSubstr(fmt::format("rank {} was killed by signal 9 (Killed) while writing a checkpoint after step 3", kill.rank)));
    const Result<RunResult> resumed = RunPlan({.folder = checkpoints, .every = 2, .keep = 1, .resume = checkpoints});
    ASSERT_TRUE(resumed.ok()) << resumed.status().message();
    EXPECT_EQ(resumed->first_step, kill.resumes_from);
    EXPECT_EQ(resumed->losses, std::vector(whole->losses.begin() + kill.resumes_from, whole->losses.end()));
    EXPECT_EQ(Parameters(), parameters);
    EXPECT_THAT(CompleteCheckpoints(checkpoints), ElementsAre(kSteps));
    size_t left = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(checkpoints)) ++left;
    EXPECT_EQ(left, 1U) << "something half-written is left";
  }
}

// On one rank all but the last of its part takes longer than what counts as lost; then on rank 0 what the others wait for.
TEST_F(KillTest, WaitsForARankThatWritesForLongerThanTheTimeout) {
  constexpr std::chrono::milliseconds kTimeout{8000}, kDelay{20000};  // a busy machine may keep a rank from its disk for seconds
  for (const auto& [rank, moment] : {std::pair(1, CheckpointMoment::kShardWritten), std::pair(0, CheckpointMoment::kBeforeRename)}) {
    const std::string checkpoints = fmt::format("{}/checkpoints_{}", folder_, rank);
    const CheckpointOptions checkpoint{.folder = checkpoints, .fault = CheckpointFault{rank, 2, moment, kDelay}};
    const Result<RunResult> result = RunWatched(plan_, {.steps = 2, .checkpoint = checkpoint, .timeout = kTimeout});
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_THAT(CompleteCheckpoints(checkpoints), ElementsAre(2));
  }
}

// --verify of a resumed run: both sides go on from the checkpoint.
TEST_F(KillTest, VerifiesFromACheckpoint) {
  const std::string checkpoints = folder_ + "/checkpoints";
  const Result<RunResult> before = RunWatched(plan_, {.steps = 2, .checkpoint = {.folder = checkpoints}});
  ASSERT_TRUE(before.ok()) << before.status().message();
  EXPECT_EQ(before->checkpoint, CheckpointPath(checkpoints, 2));
  const Result<RunResult> after = RunWatched(plan_, {.steps = 4, .verify = true, .checkpoint = {.resume = checkpoints}});
  ASSERT_TRUE(after.ok()) << after.status().message();
  ASSERT_TRUE(after->verify.has_value());
  EXPECT_TRUE(after->verify->passed()) << after->verify->worst.tensor << " " << after->verify->worst.error;
  EXPECT_EQ(after->verify->by_kind.front().tensor.substr(0, 5), "step ");
  EXPECT_EQ(after->first_step, 2);
}

TEST_F(KillTest, RefusesFoldersAndStepsThatDoNotFit) {
  const std::string checkpoints = folder_ + "/checkpoints";
  ASSERT_TRUE(RunWatched(plan_, {.steps = 2, .checkpoint = {.folder = checkpoints}}).ok());
  EXPECT_THAT(RunWatched(plan_, {.steps = 4, .checkpoint = {.folder = checkpoints}}).status().message(),
              HasSubstr("--checkpoint would write beside checkpoints of a training, up to "));
  EXPECT_THAT(RunWatched(plan_, {.steps = 2, .checkpoint = {.resume = checkpoints}}).status().message(),
              HasSubstr("--steps 2 leaves nothing to do: "));
  EXPECT_THAT(RunWatched(plan_, {.steps = 2, .checkpoint = {.resume = folder_}}).status().message(),
              HasSubstr("there is no complete checkpoint in this folder"));
}

}  // namespace
}  // namespace helm::exec
