#include "planner/plan_difference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planner/evaluate.h"
#include "planner_fixture.h"

namespace helm::planner {
namespace {

// 100 ms against 125 ms: 20 ms more bubble, 5 ms more computation.
Prediction Takes(double compute_ms, double bubble_ms) {
  Prediction prediction;
  prediction.breakdown.compute = Duration::Milliseconds(compute_ms);
  prediction.breakdown.bubble = Duration::Milliseconds(bubble_ms);
  prediction.step_time = prediction.breakdown.compute + prediction.breakdown.bubble;
  prediction.memory_bytes_peak = Bytes::Gibibytes(2);
  prediction.memory_bytes_capacity = Bytes::Gibibytes(1);
  prediction.fits = false;
  return prediction;
}

TEST(PlanDifference, WhyLostNamesTheLargestPart) { EXPECT_EQ(WhyLost(Takes(90, 10), Takes(95, 30)), "+25.0 %: 20.00 ms more bubble"); }

TEST(PlanDifference, NamesDecisionsThatDiffer) {
  config::RunConfig config = SmallConfig(2);
  config.strategy.data = 2;
  const ir::Plan first = MakePlan(config, config.strategy);
  ir::Plan second = first;
  EXPECT_TRUE(DifferentDecisions(first, second).empty());
  second.prediction.step_time_s = 1;  // no decision
  second.strategy.data = 1;
  second.strategy.zero = 1;
  second.strategy.stages = {{0, 2}};
  const std::vector<Decision> decisions = DifferentDecisions(first, second);
  ASSERT_EQ(decisions.size(), 3U);
  EXPECT_EQ(decisions[0].key, "strategy.data");
  EXPECT_EQ(decisions[0].first, "2");
  EXPECT_EQ(decisions[0].second, "1");
  EXPECT_EQ(decisions[1].key, "strategy.stages");
  EXPECT_EQ(decisions[1].first, "-");
  EXPECT_EQ(decisions[2].key, "strategy.zero");
}

TEST(PlanDifference, SideBySideHasEveryPart) {
  const std::string text = SideBySide({"a", Takes(90, 10)}, {"b", Takes(95, 30)}, Compared::kSameMachine);
  for (const char* part : {"step time", "+25.0 %", "peak memory", "compute", "exposed communication", "bubble", "+200.0 %", "optimizer",
                           "launching", "a DOES NOT FIT", "b DOES NOT FIT"}) {
    EXPECT_THAT(text, testing::HasSubstr(part));
  }
}

}  // namespace
}  // namespace helm::planner
