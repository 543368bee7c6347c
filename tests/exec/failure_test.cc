#include "exec/failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/session.h"

namespace helm::exec {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr milliseconds kTimeout{60000};
constexpr int kKilledBy9 = 9;         // as waitpid says it: the signal in the low seven bits
constexpr int kExitedWith3 = 3 << 8;  // the code in the second byte

// One op: aten.mm of layer 1's feed-forward.
ir::Program OneOp() {
  ir::Program program;
  ir::Op op;
  op.target = "aten.mm";
  op.label = "mlp.up";
  op.layer = 1;
  op.micro_batch = 0;
  program.ops.push_back(op);
  return program;
}

RankObservation Training(int64_t rank, int64_t step, milliseconds still) {
  return {.rank = rank, .stage = RankStage::kTraining, .step = step, .op = 0, .since_progress = still};
}

std::string Message(std::vector<RankObservation> ranks) {
  const Status status = Diagnose({{OneOp()}}, ranks, kTimeout);
  EXPECT_EQ(status.code(), StatusCode::kRankFailed);
  return status.message();
}

TEST(Diagnose, ADeadRankIsTheCauseOfLostPeers) {
  RankObservation lost = Training(0, 4, milliseconds(10));
  lost.reported = RankFailedError("op 7: connection closed by peer");
  RankObservation dead = Training(1, 4, milliseconds(900));
  dead.ended = kKilledBy9;
  EXPECT_EQ(
      Message({lost, dead}),
      "error: rank 1 was killed by signal 9 (Killed) while training, in step 4, at op 0 aten.mm (mlp.up, forward, layer 1, micro-batch 0)");
}

TEST(Diagnose, SaysTheExitCode) {
  RankObservation dead{.rank = 2, .stage = RankStage::kInitialising};
  dead.ended = kExitedWith3;
  EXPECT_EQ(Message({Training(0, 0, milliseconds(0)), dead}), "error: rank 2 exited with code 3 while initialising parameters");
}

TEST(Diagnose, TheRankThatIsBehindHangs) {
  const std::string message =
      Message({Training(0, 10, milliseconds(60001)), Training(1, 9, milliseconds(60000)), Training(2, 10, milliseconds(60010))});
  EXPECT_THAT(message, HasSubstr("rank 1 hangs while training, in step 9, at op 0 aten.mm"));
  EXPECT_THAT(message, HasSubstr("no progress for 60 s (--timeout)"));
}

TEST(Diagnose, AStoppedRankIsCalledStopped) {
  RankObservation stopped = Training(1, 2, milliseconds(60100));
  stopped.stopped = true;
  EXPECT_THAT(Message({Training(0, 2, milliseconds(59000)), stopped}), HasSubstr("rank 1 is stopped while training"));
}

TEST(Diagnose, DivergenceComesBeforeALostPeer) {
  RankObservation lost = Training(0, 5, milliseconds(0));
  lost.reported = RankFailedError("connection closed");
  RankObservation diverged = Training(1, 5, milliseconds(0));
  diverged.reported = RankFailedError(std::string(kDiverged) + "the loss of step 5 is nan");
  EXPECT_THAT(Message({lost, diverged}), HasSubstr("rank 1 while training, in step 5"));
  EXPECT_THAT(Message({lost, diverged}), HasSubstr("diverged: the loss of step 5 is nan"));
}

TEST(Diagnose, AnErrorOfTheInputKeepsItsCodeAndText) {
  RankObservation rank{.rank = 0, .stage = RankStage::kPreparing};
  rank.reported = InvalidError("plan.yaml: error: no");
  const Status status = Diagnose({{OneOp()}}, std::vector<RankObservation>{rank}, kTimeout);
  EXPECT_EQ(status.code(), StatusCode::kInvalid);
  EXPECT_EQ(status.message(), "plan.yaml: error: no");
}

TEST(Diagnose, OnlyLostPeersNameTheOneThatSaysSo) {
  RankObservation lost = Training(3, 1, milliseconds(0));
  lost.reported = RankFailedError("time-out");
  EXPECT_THAT(Message({Training(0, 1, milliseconds(5)), lost}), HasSubstr("rank 3 failed while training"));
}

}  // namespace
}  // namespace helm::exec
