#include "report/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/compare.h"
#include "support/sample_timelines.h"

namespace helm::report {
namespace {

using Kind = ir::Stream::Kind;
using ir::OpId;
using ::testing::HasSubstr;

Duration Us(double microseconds) { return Duration::Microseconds(microseconds); }

// One op and one collective; `scale` stretches rank r's computation by (1 + r) x scale. The collective is launched for 1 us on the compute
// stream.
ir::Timeline TwoOps(const std::string& title, const std::string& source, double scale, int32_t ranks) {
  test::TimelineBuilder builder(title, "h");
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  const int32_t tensor = builder.Stream(Kind::kCommunication, "communication.tensor");
  const OpId mm = builder.Op("compute", "aten.mm", "mlp.up", "forward", source);
  const OpId reduce = builder.Op("collective", "c10d.all_reduce", "mlp.reduce", "forward", source == "measured" ? "analytic" : source);
  const OpId wait = builder.Op("wait", "c10d.wait", "mlp.reduce", "forward", source);
  for (int32_t rank = 0; rank < ranks; ++rank) {
    const double end = 10 * scale * (1 + rank);
    builder.Event(rank, compute, mm, 0, end);
    builder.Event(rank, compute, reduce, end, end + 1);
    builder.Event(rank, tensor, reduce, end, end + 30);
    builder.Event(rank, compute, wait, end + 1, end + 30);
    builder.Rank(rank, end + 30, 1000 + 10 * rank);
  }
  return builder.Build();
}

TEST(Compare, TakesTheMedianOverRanksAndErrorsRelativeToMeasured) {
  const Result<Comparison> comparison = Compare(TwoOps("predicted", "measured", 1, 1), TwoOps("measured", "observed", 1, 3));
  ASSERT_TRUE(comparison.ok()) << comparison.status().message();
  ASSERT_EQ(comparison->rows.size(), 3u);
  // mm: 10 predicted; 10, 20, 30 measured.
  EXPECT_EQ(comparison->rows[0].duration, (Sides<Duration>{Us(10), Us(20)}));
  EXPECT_EQ(comparison->rows[0].difference(), Us(-10));
  // The collective's time is that on its own stream, 30 us, not 31 with its launch; it starts at 10 predicted, 20 in the median.
  EXPECT_EQ(comparison->rows[1].duration, (Sides<Duration>{Us(30), Us(30)}));
  EXPECT_EQ(comparison->rows[1].start, (Sides<Duration>{Us(10), Us(20)}));
  // Makespans 40 and 60; peaks 1000 and 1020 on rank 2.
  EXPECT_DOUBLE_EQ(comparison->step_time_error.value(), -20.0 / 60.0);
  EXPECT_DOUBLE_EQ(comparison->peak_memory_error.value(), -20.0 / 1020.0);
  EXPECT_EQ(comparison->sides.measured.memory_rank, 2);
  // Predicted op time 10 measured + 30 analytic; the wait has no price.
  EXPECT_EQ(comparison->sides.predicted.sources, (SourceShares{0.25, 0, 0.75}));
  EXPECT_EQ(comparison->sides.measured.sources, SourceShares());
  // The breakdown is that of the median rank, rank 1: 20 computing, 1 launching, 29 waiting.
  EXPECT_EQ(comparison->sides.measured.breakdown,
            (Breakdown{.compute = Us(20), .optimizer = Us(0), .exposed_communication = Us(29), .bubble = Us(0), .host = Us(1)}));
}

TEST(Compare, SumsCategories) {
  const Result<Comparison> comparison = Compare(TwoOps("predicted", "measured", 1, 1), TwoOps("measured", "observed", 2, 1));
  ASSERT_TRUE(comparison.ok());
  std::vector<std::tuple<std::string, int64_t, Duration, Duration>> kinds;
  for (const CategoryRow& row : comparison->by_kind)
    kinds.emplace_back(row.name, row.ops.measured, row.duration.predicted, row.duration.measured);
  const std::vector<std::tuple<std::string, int64_t, Duration, Duration>> expected = {
      {"collective", 1, Us(30), Us(30)}, {"wait", 1, Us(29), Us(29)}, {"compute", 1, Us(10), Us(20)}};
  EXPECT_EQ(kinds, expected);
}

// Two ops of one label, operator and phase count together: 2 x 10 us too short; the collective is right; waits are left out.
TEST(Compare, AddsUpEqualWork) {
  test::TimelineBuilder predicted("predicted", "h");
  test::TimelineBuilder measured("measured", "h");
  for (test::TimelineBuilder* builder : {&predicted, &measured}) {
    const int32_t compute = builder->Stream(Kind::kCompute, "compute");
    const double length = builder == &predicted ? 20 : 30;
    for (int i = 0; i < 2; ++i) builder->Event(0, compute, builder->Op("compute", "aten.mm", "mlp.up"), 100 * i, 100 * i + length);
    builder->Event(0, compute, builder->Op("compute", "aten.mm", "mlp.up", "recompute"), 200, 205 + length / 2);
    builder->Event(0, compute, builder->Op("wait", "c10d.wait", "mlp.reduce"), 300, 300 + 10 * length);
  }
  const Result<Comparison> comparison = Compare(predicted.Build(), measured.Build());
  ASSERT_TRUE(comparison.ok());
  std::vector<std::tuple<std::string, int64_t, Duration>> rows;
  for (const WorkRow& row : comparison->work) rows.emplace_back(row.work.phase, row.ops.predicted, row.difference());
  const std::vector<std::tuple<std::string, int64_t, Duration>> expected = {{"forward", 2, Us(-20)}, {"recompute", 1, Us(-5)}};
  EXPECT_EQ(rows, expected);
}

// Rank 0 comes to a reduction at 10, rank 1 at 30; it ends at 40: 10 us of work, whoever waited for it.
TEST(Compare, ACollectiveTakesFromItsLastMembersStart) {
  test::TimelineBuilder builder("measured", "h");
  builder.Mesh({{"tensor", 2}});
  const int32_t tensor = builder.GroupStream("tensor", {"tensor"});
  const OpId reduce = builder.Op("collective", "c10d.all_reduce", "r");
  builder.Event(0, tensor, reduce, 10, 40);
  builder.Event(1, tensor, reduce, 30, 40);
  const ir::Timeline timeline = builder.Build();
  const Result<Comparison> comparison = Compare(timeline, timeline);
  ASSERT_TRUE(comparison.ok());
  EXPECT_EQ(comparison->rows.at(0).duration.measured, Us(10));
  EXPECT_EQ(comparison->rows.at(0).start.measured, Us(30));
}

TEST(Compare, RefusesAnEmptyTimelineAndEventsOfUnknownOps) {
  ir::Timeline good = TwoOps("predicted", "measured", 1, 1);
  ir::Timeline empty = good;
  empty.title = "nothing";
  empty.events.clear();
  EXPECT_THAT(Compare(good, empty).status().message(), HasSubstr("timeline 'nothing' has no events"));
  ir::Timeline broken = good;
  broken.events[1].op = OpId(77);
  EXPECT_THAT(Compare(broken, good).status().message(), HasSubstr("event 1 names op 77 of 3"));
  broken = good;
  broken.events[2].stream = 2;
  EXPECT_THAT(Compare(broken, good).status().message(), HasSubstr("stream 2 of 2"));
}

TEST(Compare, AnErrorAgainstNothingIsNoNumber) {
  EXPECT_EQ(RelativeError(Us(3), Us(0)), std::nullopt);
  EXPECT_EQ(RelativeError(Bytes(3), Bytes(0)), std::nullopt);
  EXPECT_DOUBLE_EQ(RelativeError(Us(3), Us(2)).value(), 0.5);
}

}  // namespace
}  // namespace helm::report
