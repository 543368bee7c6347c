#include "report/breakdown.h"

#include <gtest/gtest.h>

#include "support/sample_timelines.h"

namespace helm::report {
namespace {

using Kind = ir::Stream::Kind;

Duration Us(double microseconds) { return Duration::Microseconds(microseconds); }

//  time (us)      0    10   20   30   40   50   60   70   80   90  100
//  compute        aaaaaaaaa bbbbbbbbbbbbbb wwwwwwwwww cccc oooooooo       a 0-18, b 20-50, wait 50-70, c 72-80, o (optimizer) 80-96
//  tensor              RRRRRRRRRRRRRRRRRRRRRRRR                           10-68
//  data                           SSSSSSSSSSSSSSSSSS                      30-66, all of it inside the other: must not count twice
TEST(UseByRank, SplitsAStepByUnionsOfIntervals) {
  test::TimelineBuilder builder("measured", "h");
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  const int32_t tensor = builder.Stream(Kind::kCommunication, "communication.tensor");
  const int32_t data = builder.Stream(Kind::kCommunication, "communication.data");
  const ir::OpId a = builder.Op("compute", "aten.mm", "a");
  const ir::OpId reduce = builder.Op("collective", "c10d.all_reduce", "r");
  const ir::OpId b = builder.Op("compute", "aten.mm", "b");
  const ir::OpId scatter = builder.Op("collective", "c10d.reduce_scatter", "s");
  const ir::OpId wait = builder.Op("wait", "c10d.wait", "r");
  const ir::OpId c = builder.Op("compute", "aten.add.Tensor", "c");
  const ir::OpId o = builder.Op("compute", "aten._fused_adamw_", "o", "optimizer");
  builder.Event(3, compute, a, 0, 18);
  builder.Event(3, tensor, reduce, 10, 68);
  builder.Event(3, compute, b, 20, 50);
  builder.Event(3, data, scatter, 30, 66);
  builder.Event(3, compute, wait, 50, 70);
  builder.Event(3, compute, c, 72, 80);
  builder.Event(3, compute, o, 80, 96);
  builder.Rank(3, 100, 4096);

  // Exposed: no computation while 10-68 is in flight or 50-70 waited for = 18-20 and 50-70 = 22. The rest of the idle time, 70-72 and
  // 96-100, is the host's.
  const RankUse expected{
      .rank = 3,
      .makespan = Us(100),
      .compute_busy = Us(18 + 30 + 8 + 16),
      .communication_busy = Us(58),
      .idle = Us(28),
      .breakdown = {.compute = Us(56), .optimizer = Us(16), .exposed_communication = Us(22), .bubble = Us(0), .host = Us(6)},
      .memory_bytes_peak = Bytes(4096)};
  EXPECT_EQ(UseByRank(builder.Build()), std::vector<RankUse>{expected});
}

// A wait of 20-60 for a transfer that is in flight 10-50; a collective in flight 40-44. Waiting for the transfer is a bubble, except where
// the collective is in flight too (40-44), and the wait's last 10 us, which no transfer explains.
TEST(UseByRank, WaitingForAnotherStageIsABubble) {
  test::TimelineBuilder builder("measured", "h");
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  const int32_t pipeline = builder.Stream(Kind::kCommunication, "communication.pipeline");
  const int32_t data = builder.Stream(Kind::kCommunication, "communication.data");
  const ir::OpId receive = builder.Op("collective", "c10d.recv", "stage.input");
  const ir::OpId reduce = builder.Op("collective", "c10d.all_reduce", "r");
  const ir::OpId a = builder.Op("compute", "aten.mm", "a");
  const ir::OpId wait = builder.Op("wait", "c10d.wait", "stage.input");
  builder.Event(0, compute, a, 0, 20);
  builder.Event(0, pipeline, receive, 10, 50);
  builder.Event(0, data, reduce, 40, 44);
  builder.Event(0, compute, wait, 20, 60);
  const Breakdown expected{.compute = Us(20), .optimizer = Us(0), .exposed_communication = Us(4 + 10), .bubble = Us(20 + 6), .host = Us(0)};
  EXPECT_EQ(UseByRank(builder.Build()).at(0).breakdown, expected);
}

// A view and a launch on the compute stream are the host's work, even beside a collective: the stream is not idle, but it does not compute.
TEST(UseByRank, ViewsAndLaunchesAreTheHosts) {
  test::TimelineBuilder builder("measured", "h");
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  const int32_t data = builder.Stream(Kind::kCommunication, "communication.data");
  const ir::OpId reduce = builder.Op("collective", "c10d.all_reduce", "r");
  const ir::OpId view = builder.Op("view", "aten.view", "v");
  builder.Event(0, compute, reduce, 0, 5);  // its launch
  builder.Event(0, data, reduce, 2, 20);
  builder.Event(0, compute, view, 5, 8);
  const Breakdown expected{.compute = Us(0), .optimizer = Us(0), .exposed_communication = Us(12), .bubble = Us(0), .host = Us(8)};
  EXPECT_EQ(UseByRank(builder.Build()).at(0).breakdown, expected);
}

//  host      hhhh          hhhh       0-4, 14-18
//  compute       aaaaaaaaaa    wwwwww  a 4-14, wait 18-30
//  data             SSSSSSSSSSSSSSSSS  8-28
// The host works only where nothing computes: it is the compute stream, so 14-18 is its launching, not exposed communication.
TEST(UseByRank, AHostThatNeverWorksBesideComputationIsTheComputeStream) {
  test::TimelineBuilder builder("measured", "h");
  const int32_t host = builder.Stream(Kind::kHost, "host");
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  const int32_t data = builder.Stream(Kind::kCommunication, "communication.data");
  const ir::OpId a = builder.Op("compute", "aten.mm", "a");
  const ir::OpId reduce = builder.Op("collective", "c10d.all_reduce", "r");
  const ir::OpId view = builder.Op("view", "aten.view", "v");
  const ir::OpId wait = builder.Op("wait", "c10d.wait", "r");
  builder.Event(0, host, a, 0, 4);
  builder.Event(0, compute, a, 4, 14);
  builder.Event(0, data, reduce, 8, 28);
  builder.Event(0, host, view, 14, 18);
  builder.Event(0, compute, wait, 18, 30);
  ir::Timeline timeline = builder.Build();
  EXPECT_EQ(UseByRank(timeline).at(0).breakdown,
            (Breakdown{.compute = Us(10), .optimizer = Us(0), .exposed_communication = Us(12), .bubble = Us(0), .host = Us(8)}));
  // One nanosecond beside the computation, and it is a thread of its own, as beside a GPU: now the stream idles from 14 on, and only 0-4 is
  // the host's.
  timeline.events[3].start -= Duration::Nanoseconds(1);
  EXPECT_EQ(UseByRank(timeline).at(0).breakdown,
            (Breakdown{.compute = Us(10), .optimizer = Us(0), .exposed_communication = Us(16), .bubble = Us(0), .host = Us(4)}));
}

TEST(UseByRank, PartsOfRealisticStepsAddUp) {
  const test::SampleTimelines sample = test::MakeSampleTimelines();
  const std::vector<RankUse> uses = UseByRank(sample.measured);
  ASSERT_EQ(uses.size(), 4u);
  for (const RankUse& use : uses) {
    const Breakdown& parts = use.breakdown;
    EXPECT_EQ(parts.compute + parts.optimizer + parts.exposed_communication + parts.bubble + parts.host, use.makespan);
    EXPECT_GT(parts.exposed_communication, Duration());
    EXPECT_GT(parts.host, Duration());
  }
}

}  // namespace
}  // namespace helm::report
