#include "ir/timeline_ranks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/sample_timelines.h"

namespace helm::ir {
namespace {

using ::testing::ElementsAre;
using Kind = Stream::Kind;

// Three stages of two ranks: {0, 1}, {4, 2}, {3, 5}; each rank sends once to the next stage, the last one to the first. Stage s has the ops
// 2 s (send) and 2 s + 1 (recv).
Timeline Ring(bool all_ranks) {
  test::TimelineBuilder builder("measured", "h");
  const int32_t send = builder.Stream(Kind::kCommunication, "communication.pipeline.send+1");
  const int32_t receive = builder.Stream(Kind::kCommunication, "communication.pipeline.recv-1");
  const std::vector<std::vector<int32_t>> stages = {{0, 1}, {4, 2}, {3, 5}};
  for (const std::vector<int32_t>& ranks : stages) {
    const OpId sent = builder.Op("collective", "c10d.send", "s");
    const OpId received = builder.Op("collective", "c10d.recv", "r");
    for (int32_t rank : ranks) {
      if (!all_ranks && rank == 5) continue;
      builder.Event(rank, send, sent, 0, 1);
      builder.Event(rank, receive, received, 0, 1);
    }
  }
  return builder.Build();
}

TEST(StagesOf, AreTheRanksThatRanTheSameOps) {
  EXPECT_THAT(StagesOf(Ring(true)), ElementsAre(ElementsAre(0, 1), ElementsAre(2, 4), ElementsAre(3, 5)));
}

TEST(StagesOf, OfAStepWithoutStagesIsOne) {
  EXPECT_THAT(StagesOf(test::MakeSampleTimelines().measured), ElementsAre(ElementsAre(0, 1, 2, 3)));
}

// Events in order: rank 0 send 0, recv 1; rank 1 2, 3; rank 4 4, 5; rank 2 6, 7; rank 3 8, 9; rank 5 10, 11. The first ranks of the stages
// are 0, 2, 3: 0 -> 2, 2 -> 3, 3 -> 0; the second ones 1, 4, 5.
TEST(MessagesOf, JoinTheRanksWithTheSameNumberInTheirStages) {
  EXPECT_THAT(MessagesOf(Ring(true)),
              ElementsAre(Message{0, 7}, Message{2, 5}, Message{4, 11}, Message{6, 9}, Message{8, 1}, Message{10, 3}));
}

// Without rank 5 the ranks of the last stage cannot be told: only messages between the other two are known.
TEST(MessagesOf, LeaveOutWhatHasNoPartner) { EXPECT_THAT(MessagesOf(Ring(false)), ElementsAre(Message{0, 7}, Message{2, 5})); }

// Of one link the k-th send meets the k-th recv in order of the ops, whatever the order of the events in time; another group's does not
// mix.
TEST(MessagesOf, MeetInOrderOfTheOps) {
  test::TimelineBuilder builder("measured", "h");
  const int32_t send = builder.Stream(Kind::kCommunication, "communication.forward.send+1");
  const int32_t send_other = builder.Stream(Kind::kCommunication, "communication.backward.send+1");
  const int32_t receive = builder.Stream(Kind::kCommunication, "communication.forward.recv+1");
  const int32_t receive_other = builder.Stream(Kind::kCommunication, "communication.backward.recv+1");
  const OpId first = builder.Op("collective", "c10d.send", "s");
  const OpId second = builder.Op("collective", "c10d.send", "s");
  const OpId other = builder.Op("collective", "c10d.send", "s");
  const OpId got_other = builder.Op("collective", "c10d.recv", "r");
  const OpId got_first = builder.Op("collective", "c10d.recv", "r");
  const OpId got_second = builder.Op("collective", "c10d.recv", "r");
  builder.Event(0, send, second, 0, 1);              // 0
  builder.Event(0, send, first, 1, 2);               // 1
  builder.Event(0, send_other, other, 0, 1);         // 2
  builder.Event(1, receive_other, got_other, 0, 1);  // 3
  builder.Event(1, receive, got_first, 0, 1);        // 4
  builder.Event(1, receive, got_second, 1, 2);       // 5
  EXPECT_THAT(MessagesOf(builder.Build()), ElementsAre(Message{0, 5}, Message{1, 4}, Message{2, 3}));
}

}  // namespace
}  // namespace helm::ir
