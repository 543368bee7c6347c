// A step of two pipeline stages: predicted with the first rank of each stage (0 and 2), measured on all four ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "report/breakdown.h"
#include "report/compare.h"
#include "report/critical_path.h"
#include "report/render_text.h"
#include "support/sample_timelines.h"

namespace helm::report {
namespace {

using Kind = ir::Stream::Kind;
using ir::OpId;
using ::testing::ElementsAre;

Duration Us(double microseconds) { return Duration::Microseconds(microseconds); }

constexpr int32_t kCompute = 0, kReceive = 2;
const OpId kA(size_t{0}), kRecv(size_t{2}), kB(size_t{4});

struct Pipeline : test::TimelineBuilder {
  explicit Pipeline(const std::string& title, const std::string& hash = "h") : TimelineBuilder(title, hash) {
    Stream(Kind::kCompute, "compute");
    Stream(Kind::kCommunication, "communication.pipeline.send+1");
    Stream(Kind::kCommunication, "communication.pipeline.recv+1");
    Op("compute", "aten.mm", "a");
    Op("collective", "c10d.send", "boundary");
    Op("collective", "c10d.recv", "boundary");
    Op("wait", "c10d.wait", "boundary");
    Op("compute", "aten.mm", "b");
  }
  void First(int32_t rank, double computed, double sent) {
    Event(rank, kCompute, kA, 0, computed);
    Event(rank, 1, OpId(size_t{1}), computed, sent);
  }
  void Second(int32_t rank, double posted, double received, double wait, double end) {
    Event(rank, kReceive, kRecv, posted, received);
    Event(rank, kCompute, OpId(size_t{3}), wait, received);
    Event(rank, kCompute, kB, received, end);
  }
};

//  rank 0   aaaaaaaaaaSS                       a 0-10, send 10-12
//  rank 2   wwwwwwwwwwRRbbbbbbbbbbbbbbbbbb     wait 0-12, recv 10-12, b 12-30
ir::Timeline Predicted() {
  Pipeline pipeline("predicted");
  pipeline.First(0, 10, 12);
  pipeline.Second(2, 10, 12, 0, 30);
  pipeline.Rank(0, 30, 1000);
  pipeline.Rank(2, 30, 2000);
  return pipeline.Build();
}

// Rank 2: recv posted at 1, its send began at 14: under way 14-18; b 18-40; the step ends at 41. Rank 3: 12-16, b 16-36.
ir::Timeline Measured() {
  Pipeline pipeline("measured");
  pipeline.First(0, 14, 17);
  pipeline.First(1, 12, 15);
  pipeline.Second(2, 1, 18, 2, 40);
  pipeline.Second(3, 1, 16, 2, 36);
  pipeline.Rank(0, 40, 1100);
  pipeline.Rank(1, 40, 1050);
  pipeline.Rank(2, 41, 2100);
  pipeline.Rank(3, 38, 2200);
  ir::Timeline timeline = pipeline.Build();
  timeline.makespan = Us(41);
  return timeline;
}

Comparison Both() {
  const Result<Comparison> comparison = Compare(Predicted(), Measured());
  EXPECT_TRUE(comparison.ok()) << comparison.status().message();
  return *comparison;
}

// Back from b over the message, which hung on a: in the prediction both ends begin together, and a ended at 10 where rank 2 had nothing
// before; in the measurement the send began after the recv was posted.
TEST(Pipelines, TheCriticalPathPassesFromStageToStage) {
  const std::vector<PathStep> predicted = {
      {kA, kCompute, Us(0), Us(10), 0}, {kRecv, kReceive, Us(10), Us(12), 2}, {kB, kCompute, Us(12), Us(30), 2}};
  EXPECT_EQ(TraceCriticalPath(Predicted()).steps, predicted);
  const std::vector<PathStep> measured = {
      {kA, kCompute, Us(0), Us(14), 0}, {kRecv, kReceive, Us(14), Us(18), 2}, {kB, kCompute, Us(18), Us(40), 2}};
  EXPECT_EQ(TraceCriticalPath(Measured()).steps, measured);
}

// Predicted rank 0: a 10, its message 2, then until 30 stage 1 runs. Rank 2: nothing sent until 10, the message 2, b 18. Measured rank 0:
// 14, 3, and 17-40; rank 2: recv posted 1-14, under way 4, b 22, and 0-1 and 40-41 nobody's; rank 3: posted 1-12 and at the end 36-38 of
// its step: 13.
TEST(Pipelines, WaitingForAStageIsABubbleUntilTheMessageIsUnderWay) {
  const auto parts = [](const ir::Timeline& timeline) {
    std::vector<std::tuple<int32_t, int32_t, Breakdown>> uses;
    for (const RankUse& use : UseByRank(timeline)) uses.emplace_back(use.rank, use.stage, use.breakdown);
    return uses;
  };
  const auto breakdown = [](double compute, double exposed, double bubble, double host) {
    return Breakdown{Us(compute), Us(0), Us(exposed), Us(bubble), Us(host)};
  };
  EXPECT_THAT(parts(Predicted()), ElementsAre(std::tuple(0, 0, breakdown(10, 2, 18, 0)), std::tuple(2, 1, breakdown(18, 2, 10, 0))));
  EXPECT_THAT(parts(Measured()), ElementsAre(std::tuple(0, 0, breakdown(14, 3, 23, 0)), std::tuple(1, 0, breakdown(12, 3, 25, 0)),
                                             std::tuple(2, 1, breakdown(22, 4, 13, 2)), std::tuple(3, 1, breakdown(20, 4, 13, 1))));
}

// 30 - 41 = -11: a 10 and 14, b 18 and 22, the message 2 and 4, and 1 behind the last event.
TEST(Pipelines, TheDifferenceIsAttributedWithoutRest) {
  const Attribution attribution = Both().attribution;
  EXPECT_EQ(attribution.difference, Us(-11));
  std::vector<std::tuple<std::string, Duration, Duration>> categories;
  Duration sum;
  for (const AttributionRow& row : attribution.categories) {
    categories.emplace_back(row.category, row.on_path.predicted, row.on_path.measured);
    sum += row.difference();
  }
  EXPECT_THAT(categories, ElementsAre(std::tuple("compute", Us(28), Us(36)), std::tuple("message", Us(2), Us(4)),
                                      std::tuple("beyond the path", Us(0), Us(1))));
  EXPECT_EQ(sum, attribution.difference);
  std::vector<std::tuple<std::string, OpId, Duration>> ops;
  for (const AttributionRow& row : attribution.ops) ops.emplace_back(row.what.label, row.op.measured, row.difference());
  EXPECT_THAT(ops, ElementsAre(std::tuple("a", kA, Us(-4)), std::tuple("b", kB, Us(-4)), std::tuple("boundary", kRecv, Us(-2))));
  std::vector<std::tuple<std::string, std::string, Duration>> work;
  for (const PathWorkRow& row : attribution.work) work.emplace_back(row.category, row.row.work.label, row.row.difference());
  EXPECT_THAT(
      work, ElementsAre(std::tuple("compute", "a", Us(-4)), std::tuple("compute", "b", Us(-4)), std::tuple("message", "boundary", Us(-2))));
}

TEST(Pipelines, TheDifferenceOfRealisticStepsIsAttributedWithoutRest) {
  const test::SampleTimelines sample = test::MakeSampleTimelines();
  const Result<Comparison> comparison = Compare(sample.predicted, sample.measured);
  ASSERT_TRUE(comparison.ok());
  Duration categories, ops, of_no_op;
  for (const AttributionRow& row : comparison->attribution.categories) {
    categories += row.difference();
    if (row.category == "gap" || row.category == "beyond the path") of_no_op += row.difference();
  }
  for (const AttributionRow& row : comparison->attribution.ops) ops += row.difference();
  EXPECT_NE(categories, Duration());
  EXPECT_EQ(categories, sample.predicted.makespan - sample.measured.makespan);
  EXPECT_EQ(ops + of_no_op, categories);
}

// Stage 1 measured: step times 38 and 41, computing 20 and 22, exposed 4, bubble 13: the lower of two; the larger peak. Ranks 1 and 3 have
// no prediction of their own: those of the first ranks of their stages stand for them.
TEST(Pipelines, StagesAndRanksStandSideBySide) {
  const Comparison comparison = Both();
  ASSERT_EQ(comparison.stages.size(), 2u);
  EXPECT_EQ(comparison.stages[1].predicted, (StageUse{1, Us(30), Us(18), Us(2), Us(10), Bytes(2000)}));
  EXPECT_EQ(comparison.stages[1].measured, (StageUse{2, Us(38), Us(20), Us(4), Us(13), Bytes(2200)}));
  EXPECT_THAT(StageLines(comparison, {}),
              ElementsAre("stages, predicted/measured",
                          "stage          ranks       step time         compute   exposed comm.          bubble     peak memory",
                          "0                1/2  30.00/40.00 us  10.00/12.00 us  2.000/3.000 us  18.00/23.00 us 0.000/0.000 GiB",
                          "1                1/2  30.00/38.00 us  18.00/20.00 us  2.000/4.000 us  10.00/13.00 us 0.000/0.000 GiB"));
  EXPECT_THAT(RankLines(comparison, {}),
              ElementsAre("ranks, predicted/measured",
                          "rank           stage       step time         compute   exposed comm.          bubble     peak memory",
                          "0                  0  30.00/40.00 us  10.00/14.00 us  2.000/3.000 us  18.00/23.00 us 0.000/0.000 GiB",
                          "1 (0)              0  30.00/40.00 us  10.00/12.00 us  2.000/3.000 us  18.00/25.00 us 0.000/0.000 GiB",
                          "2                  1  30.00/41.00 us  18.00/22.00 us  2.000/4.000 us  10.00/13.00 us 0.000/0.000 GiB",
                          "3 (2)              1  30.00/38.00 us  18.00/20.00 us  2.000/4.000 us  10.00/13.00 us 0.000/0.000 GiB",
                          "'predicted' has 2 of 4 ranks, the first of a stage stands for the others of it"));
}

// Measured makespans 40, 40, 41, 38: the median rank, the lower one of two, is rank 0 or 1, first in order; stage 0 is held against stage
// 0, though the prediction's ranks end together.
TEST(Pipelines, BreakdownsAreOfRanksThatBelongTogether) {
  const Comparison comparison = Both();
  EXPECT_EQ(comparison.sides.measured.breakdown_rank, 0);
  EXPECT_EQ(comparison.sides.predicted.breakdown_rank, 0);
  ir::Timeline slower = Measured();
  slower.ranks[0].makespan = slower.ranks[1].makespan = Us(60);
  const Result<Comparison> other = Compare(Predicted(), slower);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other->sides.measured.breakdown_rank, 2);  // 38, 41, 60, 60
  EXPECT_EQ(other->sides.predicted.breakdown_rank, 2);
  EXPECT_EQ(other->sides.predicted.breakdown.bubble, Us(10));
}

TEST(Pipelines, TheDocumentHoldsAttributionAndStages) {
  const nlohmann::ordered_json document = RenderJson(Both());
  EXPECT_EQ(document["attribution"]["difference_s"], -11e-6);
  EXPECT_EQ(document["attribution"]["categories"][1],
            (nlohmann::ordered_json{{"category", "message"}, {"predicted_s", 2e-6}, {"measured_s", 4e-6}, {"difference_s", -2e-6}}));
  EXPECT_EQ(document["attribution"]["ops"][2]["predicted_op"], 2);
  EXPECT_EQ(document["attribution"]["ops"][2]["target"], "c10d.recv");
  EXPECT_EQ(document["stages"][0]["measured"]["bubble_s"], 23e-6);
  EXPECT_EQ(document["measured"]["ranks"][3]["stage"], 1);
  ASSERT_EQ(document["ranks"].size(), 4u);
  EXPECT_EQ(document["ranks"][3]["predicted_rank"], 2);
  EXPECT_EQ(document["ranks"][3]["measured_rank"], 3);
  EXPECT_EQ(document["ranks"][3]["difference_s"]["compute"], -2e-6);
  EXPECT_EQ(document["ranks"][3]["error"]["step_time"], -8.0 / 38.0);
}

}  // namespace
}  // namespace helm::report
