// Timelines of two plans: other titles, other ops, other ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "report/compare.h"
#include "report/render_text.h"
#include "report/stage_table.h"
#include "support/sample_timelines.h"

namespace helm::report {
namespace {

using Kind = ir::Stream::Kind;
using ir::OpId;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Duration Us(double microseconds) { return Duration::Microseconds(microseconds); }

// A step of `micro_batches` micro-batches of `length` us each on ranks 0 and `other`; with `stages` the second half of each on `other`,
// which are two stages then.
ir::Timeline Step(const std::string& title, const std::string& hash, int micro_batches, double length, bool stages, int32_t other) {
  test::TimelineBuilder builder(title, hash);
  builder.Plan(hash);
  const int32_t compute = builder.Stream(Kind::kCompute, "compute");
  std::vector<OpId> mlp, head;
  for (int i = 0; i < micro_batches; ++i) mlp.push_back(builder.Op("compute", "aten.mm", "mlp.up"));
  for (int i = 0; i < micro_batches; ++i) head.push_back(builder.Op("compute", "aten.mm", "head"));
  for (int32_t rank : {0, other}) {
    double time = 0;
    for (int i = 0; i < micro_batches; ++i) {
      if (!stages || rank == 0) builder.Event(rank, compute, mlp[static_cast<size_t>(i)], time, time + length / 2);
      if (!stages || rank != 0) builder.Event(rank, compute, head[static_cast<size_t>(i)], time + length / 2, time + length);
      time += length;
    }
    builder.Rank(rank, time, 1000);
  }
  return builder.Build();
}

Comparison Of(const ir::Timeline& first, const ir::Timeline& second) {
  const Result<Comparison> comparison = Compare(first, second);
  EXPECT_TRUE(comparison.ok()) << comparison.status().message();
  return *comparison;
}

TEST(TwoPlans, TimelinesOfOneTitleAreNumbered) {
  const Comparison same = Of(Step("predicted", "a", 2, 10, false, 1), Step("predicted", "b", 2, 20, false, 1));
  EXPECT_EQ(same.sides.predicted.title, "predicted 1");
  EXPECT_EQ(same.sides.measured.title, "predicted 2");
  EXPECT_FALSE(same.foretells);
  const Comparison runs = Of(Step("measured", "a", 2, 10, false, 1), Step("measured", "a", 2, 20, false, 1));
  EXPECT_EQ(runs.sides.measured.title, "measured 2");
  EXPECT_TRUE(runs.matched_by_id);
  EXPECT_FALSE(runs.foretells);
  const Comparison forecast = Of(Step("predicted", "a", 2, 10, false, 1), Step("measured", "a", 2, 20, false, 1));
  EXPECT_EQ(forecast.sides.predicted.title, "predicted");
  EXPECT_TRUE(forecast.foretells);
  EXPECT_FALSE(Of(Step("predicted", "a", 2, 10, false, 1), Step("measured", "b", 2, 20, false, 1)).foretells);
}

TEST(TwoPlans, TheTextSaysHowOpsArePaired) {
  const Comparison comparison = Of(Step("predicted", "a", 2, 10, false, 1), Step("predicted", "b", 2, 20, false, 1));
  const std::string text = RenderText(comparison, {.colour = true});
  EXPECT_THAT(text, HasSubstr("different programs: ops are paired by operator, label, phase, layer, micro-batch and occurrence\n"));
  EXPECT_THAT(text, HasSubstr("predicted 1: a; 2 ranks\npredicted 2: b; 2 ranks\n"));
  EXPECT_THAT(text, HasSubstr("relative"));
  EXPECT_THAT(text, Not(HasSubstr("error")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b[31m")));  // half as long is not wrong by half
}

// Four micro-batches of 10 us against two of 20: two ops of each kind have no partner, but the work is the same, 20 us each.
TEST(TwoPlans, WorkIsSummedOverOtherMicroBatches) {
  const Comparison comparison = Of(Step("predicted", "a", 4, 10, false, 1), Step("predicted", "b", 2, 20, false, 1));
  EXPECT_EQ(comparison.rows.size(), 4u);
  EXPECT_EQ(comparison.predicted_only.size(), 4u);
  EXPECT_TRUE(comparison.measured_only.empty());
  ASSERT_EQ(comparison.work.size(), 2u);
  for (const WorkRow& row : comparison.work) {
    EXPECT_EQ(row.ops, (Sides<int64_t>{4, 2}));
    EXPECT_EQ(row.duration, (Sides<Duration>{Us(20), Us(20)}));
  }
  EXPECT_THAT(RenderText(comparison), HasSubstr("4 ops paired; 4 only in 'predicted 1' (20.0 us)"));
}

// Two stages on ranks 0 and 2 against one program on ranks 0 and 1: rank 0 of the second, the first of its only stage, stands for its rank
// 2; of the first nobody knows whose part rank 1 has.
TEST(TwoPlans, APipelineStandsBesideAStepWithoutStages) {
  const Comparison comparison = Of(Step("predicted", "a", 2, 20, true, 2), Step("predicted", "b", 2, 20, false, 1));
  ASSERT_EQ(comparison.stages.size(), 2u);
  EXPECT_EQ(comparison.stages[1].measured.ranks, 0);
  std::vector<std::tuple<int32_t, int32_t, int32_t>> ranks;
  const auto rank_of = [](const std::optional<RankUse>& use) { return use ? use->rank : -1; };
  for (const RankRow& row : comparison.ranks) ranks.emplace_back(row.rank, rank_of(row.use.predicted), rank_of(row.use.measured));
  EXPECT_THAT(ranks, ElementsAre(std::tuple(0, 0, 0), std::tuple(1, -1, 1), std::tuple(2, 2, 0)));
  EXPECT_EQ(DescribeRankPairing(comparison),
            "'predicted 1' has 2 of 3 ranks, 1 has no counterpart; 'predicted 2' has 2 of 3 ranks, the first stands for the others");
  EXPECT_THAT(RankLines(comparison, {}), ::testing::Contains(HasSubstr("1                  0      -/40.00 us")));
  // Every rank of the document is there, and only the pairs have differences.
  const nlohmann::ordered_json document = RenderJson(comparison);
  EXPECT_EQ(document["ranks"][1]["predicted_rank"], nullptr);
  EXPECT_FALSE(document["ranks"][1].contains("error"));
  EXPECT_EQ(document["ranks"][2]["measured_rank"], 0);
  EXPECT_TRUE(document["stages"][1]["measured"].is_null());
}

TEST(TwoPlans, ManyRanksAreShownByTheirDifference) {
  test::TimelineBuilder first("predicted", "a"), second("predicted", "b");
  for (test::TimelineBuilder* builder : {&first, &second}) {
    const int32_t compute = builder->Stream(Kind::kCompute, "compute");
    const OpId op = builder->Op("compute", "aten.mm", "a");
    for (int32_t rank = 0; rank < 12; ++rank) builder->Event(rank, compute, op, 0, builder == &first && rank % 3 != 0 ? 20 : 10 + rank);
  }
  // Ranks 0, 3, 6, 9 compute 10 + rank in both; the others 20 against 10 + rank: rank 10 has no difference either, but ties go by rank.
  const std::vector<std::string> lines = RankLines(Of(first.Build(), second.Build()), {});
  ASSERT_EQ(lines.size(), 2u + 8u + 1u);
  std::vector<std::string> shown;
  for (size_t i = 2; i < 10; ++i) shown.push_back(lines[i].substr(0, lines[i].find(' ')));
  EXPECT_THAT(shown, ElementsAre("0", "1", "2", "4", "5", "7", "8", "11"));
  EXPECT_EQ(lines.back(), "the 8 of 12 ranks whose computing time differs most; all: --json");
}

}  // namespace
}  // namespace helm::report
