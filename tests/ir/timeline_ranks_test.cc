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

// Two stages of three data-parallel ranks in shares of two and one: rank = data + 3 x stage, classes {0, 1}, {3, 4}, {2}, {5} of a send and
// a recv each. Every rank sends to the one three further, around: 0 <-> 3, 1 <-> 4, 2 <-> 5, never from one share to the other.
TEST(MessagesOf, OfASharedBatchStayInTheirShare) {
  test::TimelineBuilder builder("measured", "h");
  const int32_t send = builder.Stream(Kind::kCommunication, "communication.pipeline.send+1");
  const int32_t receive = builder.Stream(Kind::kCommunication, "communication.pipeline.recv-1");
  for (const std::vector<int32_t>& ranks : std::vector<std::vector<int32_t>>{{0, 1}, {3, 4}, {2}, {5}}) {
    const OpId sent = builder.Op("collective", "c10d.send", "s");
    const OpId received = builder.Op("collective", "c10d.recv", "r");
    for (const int32_t rank : ranks) {
      builder.Event(rank, send, sent, 0, 1);
      builder.Event(rank, receive, received, 0, 1);
    }
  }
  Timeline timeline = builder.Build();
  timeline.mesh = {{"data", 3}, {"pipeline", 2}};
  // Events in order: rank 0 send 0, recv 1; rank 1 2, 3; rank 3 4, 5; rank 4 6, 7; rank 2 8, 9; rank 5 10, 11.
  EXPECT_THAT(MessagesOf(timeline),
              ElementsAre(Message{0, 5}, Message{2, 7}, Message{4, 1}, Message{6, 3}, Message{8, 11}, Message{10, 9}));
}

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

// A send that was asked about at 90, when its recv had long ended, at 7; one that ended before its recv did; one without a recv.
TEST(EndSendsWithTheirReceives, IsNoLaterThanTheRecv) {
  test::TimelineBuilder builder("measured", "h");
  const int32_t send = builder.Stream(Kind::kCommunication, "communication.pipeline.send+1");
  const int32_t receive = builder.Stream(Kind::kCommunication, "communication.pipeline.recv-1");
  std::vector<OpId> ops;
  for (int i = 0; i < 3; ++i) ops.push_back(builder.Op("collective", "c10d.send", "s"));
  for (int i = 0; i < 2; ++i) ops.push_back(builder.Op("collective", "c10d.recv", "r"));
  builder.Event(0, send, ops[0], 5, 90);
  builder.Event(0, send, ops[1], 90, 91);
  builder.Event(0, send, ops[2], 91, 99);
  builder.Event(1, receive, ops[3], 0, 7);
  builder.Event(1, receive, ops[4], 7, 95);
  Timeline timeline = builder.Build();
  EndSendsWithTheirReceives(timeline);
  std::vector<double> durations;
  for (const TimelineEvent& event : timeline.events) durations.push_back(event.duration.microseconds());
  EXPECT_THAT(durations, ElementsAre(2, 1, 8, 7, 88));
}

// Ranks 0..3 on a mesh tensor 2 x data 2: {0, 1} and {2, 3} reduce twice, {0, 2} and {1, 3} once; rank 3 is not in the timeline. Events:
// rank 0 has 0, 1, 2 (the second reduction first), rank 1 3, 4, 5, rank 2 6, 7, 8.
TEST(CollectivesOf, JoinTheMembersOfAGroupInOrderOfTheOps) {
  test::TimelineBuilder builder("measured", "h");
  builder.Mesh({{"tensor", 2}, {"data", 2}});
  const int32_t tensor = builder.GroupStream("tensor", {"tensor"});
  const int32_t data = builder.GroupStream("data", {"data"});
  const OpId first = builder.Op("collective", "c10d.all_reduce", "a");
  const OpId second = builder.Op("collective", "c10d.all_reduce", "b");
  const OpId gradients = builder.Op("collective", "c10d.all_reduce", "g");
  for (int32_t rank : {0, 1, 2}) {
    builder.Event(rank, tensor, second, 1, 2);
    builder.Event(rank, tensor, first, 0, 1);
    builder.Event(rank, data, gradients, 2, 3);
  }
  Timeline timeline = builder.Build();
  EXPECT_THAT(CollectivesOf(timeline), ElementsAre(ElementsAre(1, 4), ElementsAre(0, 3), ElementsAre(2, 8)));
  timeline.mesh.clear();
  EXPECT_THAT(CollectivesOf(timeline), ElementsAre());
}

// Embeddings tied across the ends of three stages: the middle one is in no group.
TEST(CollectivesOf, LeaveOutRanksThatAreNotInTheGroup) {
  test::TimelineBuilder builder("measured", "h");
  builder.Mesh({{"pipeline", 3}});
  const int32_t tied = builder.GroupStream("embedding", {"pipeline"}, {0, 2});
  for (int32_t rank : {0, 1, 2}) builder.Event(rank, tied, builder.Op("collective", "c10d.all_reduce", "embedding"), 0, 1);
  EXPECT_THAT(CollectivesOf(builder.Build()), ElementsAre(ElementsAre(0, 2)));
}

}  // namespace
}  // namespace helm::ir
