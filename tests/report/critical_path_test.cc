#include "report/critical_path.h"

#include <gtest/gtest.h>

#include "support/sample_timelines.h"

namespace helm::report {
namespace {

using Kind = ir::Stream::Kind;
using ir::OpId;

Duration Us(double microseconds) { return Duration::Microseconds(microseconds); }

//  time (us)      0    10   20   30   40   50   60
//  compute        aaaa  bbbbbb wwwwwwwwww cccccc       a 0-10, b 12-24, wait 24-42, c 42-55
//  tensor             RRRRRRRRRRRRRRRRRR               10-40
// Back from 55: c 42-55; the wait until the collective's end 40-42; the collective 10-40; a 0-10. b is hidden beside the collective.
TEST(TraceCriticalPath, GoesThroughTheCollectiveThatAWaitWaitsFor) {
  test::TimelineBuilder builder("measured", "h");
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  const int32_t tensor = builder.Stream(Kind::kCommunication, "communication.tensor");
  const OpId a = builder.Op("compute", "aten.mm", "a");
  const OpId reduce = builder.Op("collective", "c10d.all_reduce", "r");
  const OpId b = builder.Op("compute", "aten.mm", "b");
  const OpId wait = builder.Op("wait", "c10d.wait", "r");
  const OpId c = builder.Op("compute", "aten.mm", "c");
  builder.Event(0, compute, a, 0, 10);
  builder.Event(0, tensor, reduce, 10, 40);
  builder.Event(0, compute, b, 12, 24);
  builder.Event(0, compute, wait, 24, 42);
  builder.Event(0, compute, c, 42, 55);
  const CriticalPath path = TraceCriticalPath(builder.Build());
  const std::vector<PathStep> expected = {
      {a, compute, Us(0), Us(10)}, {reduce, tensor, Us(10), Us(40)}, {wait, compute, Us(40), Us(42)}, {c, compute, Us(42), Us(55)}};
  EXPECT_EQ(path.steps, expected);
  EXPECT_EQ(path.compute, Us(10 + 13));
  EXPECT_EQ(path.communication, Us(30 + 2));
  EXPECT_EQ(path.host, Us(0));
}

//  host           1111 2222222 3333              launches 0-4, 4-11, 11-15
//  compute             aaa     bbbbbbb           a 4-7, b 11-20: b waited for its launch, which ended at 11; the launch of c (11-15) comes
//  later
TEST(TraceCriticalPath, GoesThroughTheLaunchThatHeldAnOpUp) {
  test::TimelineBuilder builder("measured", "h");
  const int32_t host = builder.Stream(Kind::kHost, "host");
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  const OpId a = builder.Op("compute", "aten.mm", "a");
  const OpId b = builder.Op("compute", "aten.mm", "b");
  const OpId c = builder.Op("compute", "aten.mm", "c");
  builder.Event(1, host, a, 0, 4);
  builder.Event(1, host, b, 4, 11);
  builder.Event(1, host, c, 11, 15);
  builder.Event(1, compute, a, 4, 7);
  builder.Event(1, compute, b, 11, 20);
  builder.Event(1, compute, c, 20, 21);
  const CriticalPath path = TraceCriticalPath(builder.Build());
  const std::vector<PathStep> expected = {
      {a, host, Us(0), Us(4), 1}, {b, host, Us(4), Us(11), 1}, {b, compute, Us(11), Us(20), 1}, {c, compute, Us(20), Us(21), 1}};
  EXPECT_EQ(path.steps, expected);
  EXPECT_EQ(path.host, Us(11));
  EXPECT_EQ(path.rank, 1);
}

TEST(TraceCriticalPath, ShowsGapsAndEndsDespiteEmptyEvents) {
  test::TimelineBuilder builder("measured", "h");
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  const OpId a = builder.Op("compute", "aten.mm", "a");
  const OpId b = builder.Op("view", "aten.view", "b");
  const OpId c = builder.Op("view", "aten.view", "c");
  builder.Event(0, compute, a, 3, 10);
  builder.Event(0, compute, b, 12, 12);  // no time at all, twice at the same moment
  builder.Event(0, compute, c, 12, 12);
  builder.Event(0, compute, a, 12, 20);
  const std::vector<PathStep> expected = {
      {OpId(), -1, Us(0), Us(3)}, {a, compute, Us(3), Us(10)}, {OpId(), -1, Us(10), Us(12)}, {a, compute, Us(12), Us(20)}};
  EXPECT_EQ(TraceCriticalPath(builder.Build()).steps, expected);
}

TEST(TraceCriticalPath, CoversRealisticStepsWithoutHoles) {
  const test::SampleTimelines sample = test::MakeSampleTimelines();
  for (const ir::Timeline* timeline : {&sample.predicted, &sample.measured}) {
    const CriticalPath path = TraceCriticalPath(*timeline);
    Duration end;
    for (const PathStep& step : path.steps) {
      EXPECT_EQ(step.start, end);
      end = step.end;
    }
    // The sample counts the launch of a next op (2 or 3 us) after the last event.
    EXPECT_LE(end, timeline->makespan);
    EXPECT_GE(end, timeline->makespan - Us(3));
    EXPECT_EQ(path.compute + path.communication + path.host, end);
  }
}

//  rank 0   aaaaaRRRRRRRRRRRRRR       a 0-10, reduction 10-40 (waiting for rank 1 until 30), b 40-44
//  rank 1   aaaaaaaaaaaaaaaRRRR       a 0-30, reduction 30-40
// The path passes through the reduction to the rank that came last, and rank 0's waiting is not on it.
TEST(TraceCriticalPath, GoesOnAtTheLastMemberOfACollective) {
  test::TimelineBuilder builder("measured", "h");
  builder.Mesh({{"tensor", 2}});
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  const int32_t tensor = builder.GroupStream("tensor", {"tensor"});
  const OpId a = builder.Op("compute", "aten.mm", "a");
  const OpId reduce = builder.Op("collective", "c10d.all_reduce", "r");
  const OpId b = builder.Op("compute", "aten.mm", "b");
  builder.Event(0, compute, a, 0, 10);
  builder.Event(0, tensor, reduce, 10, 40);
  builder.Event(0, compute, b, 40, 44);
  builder.Event(1, compute, a, 0, 30);
  builder.Event(1, tensor, reduce, 30, 40);
  ir::Timeline timeline = builder.Build();
  const std::vector<PathStep> expected = {
      {a, compute, Us(0), Us(30), 1}, {reduce, tensor, Us(30), Us(40), 0}, {b, compute, Us(40), Us(44), 0}};
  EXPECT_EQ(TraceCriticalPath(timeline).steps, expected);
  // Both begin at 30, as simulated ones do: rank 0 was ready at 10.
  timeline.events[1].start = Us(30);
  timeline.events[1].duration = Us(10);
  EXPECT_EQ(TraceCriticalPath(timeline).steps, expected);
}

}  // namespace
}  // namespace helm::report
