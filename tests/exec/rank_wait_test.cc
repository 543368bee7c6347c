#include "exec/rank_wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/gradient_pass.h"
#include "schedule/materialise.h"
#include "training_plan.h"

namespace helm::exec {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr milliseconds kTimeout{60000};

ir::StepPrograms StepOf(const ir::Strategy& strategy) {
  Result<ir::StepPrograms> step = schedule::Materialise(MakePlan(LlamaModel(), {.strategy = strategy}));
  HELM_CHECK(step.ok(), step.status().message().c_str());
  return std::move(step).value();
}

ir::StepPrograms TwoStages() {
  ir::Strategy strategy{.micro_batch = 1};
  strategy.pipeline = 2;
  strategy.schedule = "1f1b";
  return StepOf(strategy);
}

// The first op with this target from `from` on.
int64_t Find(const ir::Program& program, std::string_view target, int64_t from = 0) {
  for (auto i = static_cast<size_t>(from); i < program.ops.size(); ++i) {
    if (program.ops[i].target == target) return static_cast<int64_t>(i);
  }
  return -1;
}

RankObservation Training(int64_t rank, int64_t step, int64_t op) {
  return {.rank = rank, .stage = RankStage::kTraining, .step = step, .op = op, .since_progress = kTimeout};
}

std::string Message(const ir::StepPrograms& step, const std::vector<RankObservation>& ranks) {
  return Diagnose(step, ranks, kTimeout).message();
}

// Stage 1 waits for its first input from the start, at a lower op than any that keeps stage 0 from sending it.
TEST(RankWait, AStageThatHangsBeforeItSendsIsNamedThoughItIsFurtherOn) {
  const ir::StepPrograms step = TwoStages();
  const int64_t received = Find(step.classes[1], "c10d.wait");
  const int64_t before_send = Find(step.classes[0], "c10d.send") - 1;
  ASSERT_LT(received, before_send);
  const std::vector<RankObservation> ranks{Training(0, 2, before_send), Training(1, 2, received)};
  EXPECT_THAT(Message(step, ranks), HasSubstr("rank 0 hangs while training, in step 2, at op " + std::to_string(before_send)));
}

// Stage 0 waits for the gradient that stage 1 has yet to send.
TEST(RankWait, AStageThatHangsAfterItReceivedIsNamed) {
  const ir::StepPrograms step = TwoStages();
  const int64_t after_receive = Find(step.classes[1], "c10d.wait") + 1;
  const int64_t gradient = Find(step.classes[0], "c10d.wait", Find(step.classes[0], "c10d.recv"));
  const std::vector<RankObservation> ranks{Training(0, 2, gradient), Training(1, 2, after_receive)};
  EXPECT_THAT(Message(step, ranks), HasSubstr("rank 1 hangs while training, in step 2, at op " + std::to_string(after_receive)));
}

// A wait whose other end has come hangs by itself.
TEST(RankWait, AWaitForSomethingThatHasComeHangsByItself) {
  const ir::StepPrograms step = TwoStages();
  const int64_t received = Find(step.classes[1], "c10d.wait");
  const int64_t behind_send = Find(step.classes[0], "c10d.send") + 1;
  const RankObservation sender = Training(0, 2, behind_send);
  const RankObservation receiver = Training(1, 2, received);
  const std::vector<RunningRank> ranks{{&sender, &step.classes[0]}, {&receiver, &step.classes[1]}};
  EXPECT_EQ(WaitsFor(ranks, 1), std::nullopt);
}

TEST(RankWait, ACollectiveWaitsForTheRankThatHasNotStartedIt) {
  const ir::StepPrograms step = StepOf({.data = 2, .micro_batch = 1});
  const ir::Program& program = step.classes[0];
  const int64_t start = Find(program, "c10d.all_reduce");
  const int64_t wait = Find(program, "c10d.wait", start);
  const RankObservation waiter = Training(0, 1, wait);
  for (const int64_t op : {start - 1, start}) {
    const RankObservation other = Training(1, 1, op);
    EXPECT_EQ(WaitsFor(std::vector<RunningRank>{{&waiter, &program}, {&other, &program}}, 0), 1U) << op;
  }
  const RankObservation ahead = Training(1, 1, start + 1);
  EXPECT_EQ(WaitsFor(std::vector<RunningRank>{{&waiter, &program}, {&ahead, &program}}, 0), std::nullopt);
  const RankObservation a_step_behind = Training(1, 0, wait);
  EXPECT_EQ(WaitsFor(std::vector<RunningRank>{{&waiter, &program}, {&a_step_behind, &program}}, 0), 1U);
}

// Behind its last op a rank waits for the losses of the others; before its first for all to begin together.
TEST(RankWait, BetweenStepsARankWaitsForThoseBehindIt) {
  const ir::StepPrograms step = StepOf({.data = 2, .micro_batch = 1});
  const auto ops = static_cast<int64_t>(step.classes[0].ops.size());
  EXPECT_THAT(Message(step, {Training(0, 3, ops), Training(1, 3, ops - 1)}), HasSubstr("rank 1 hangs while training, in step 3, at op"));
  EXPECT_THAT(Message(step, {Training(0, 4, -1), Training(1, 3, ops)}), HasSubstr("rank 1 hangs while training, in step 3: no progress"));
  const RankObservation writes{.rank = 1, .stage = RankStage::kWritingGradients, .since_progress = kTimeout};
  EXPECT_THAT(Message(step, {Training(0, 0, -1), writes}), HasSubstr("rank 1 hangs while writing its gradients"));
}

// One that reported success waits for nobody and keeps nobody, though it is idle again.
TEST(RankWait, ARankThatHasEndedIsNotBehind) {
  const ir::StepPrograms step = StepOf({.data = 2, .micro_batch = 1});
  RankObservation ended{.rank = 0};
  ended.reported = OkStatus();
  const RankObservation writes{.rank = 1, .stage = RankStage::kWriting, .since_progress = kTimeout};
  EXPECT_THAT(Message(step, {ended, writes}), HasSubstr("rank 1 hangs while writing its state"));
}

// A rank that is only slower than the others is not what hangs.
TEST(RankWait, ARankThatGotOnAMomentAgoIsNotNamed) {
  const ir::StepPrograms step = StepOf({.data = 2, .micro_batch = 1});
  const int64_t start = Find(step.classes[0], "c10d.all_reduce");
  const int64_t wait = Find(step.classes[0], "c10d.wait", start);
  RankObservation slow = Training(1, 1, start - 1);
  slow.since_progress = milliseconds(20);
  EXPECT_THAT(Message(step, {Training(0, 1, wait), slow}), HasSubstr("rank 0 hangs"));
}

// The gradient pass has fewer ops than the step: its numbers are its own.
TEST(RankWait, OpsOfTheGradientPassAreNamedByTheirOwnNumbers) {
  const ir::StepPrograms step = StepOf({.data = 2, .micro_batch = 1});
  const Result<ir::Program> pass = GradientPass(step.classes[0]);
  ASSERT_TRUE(pass.ok());
  const auto last = static_cast<int64_t>(pass->ops.size()) - 1;
  RankObservation rank{.rank = 0, .stage = RankStage::kGradients, .op = last, .since_progress = kTimeout};
  EXPECT_THAT(Message(step, {rank}), HasSubstr("at op " + std::to_string(last) + " " + pass->ops.back().target + " ("));
}

}  // namespace
}  // namespace helm::exec
