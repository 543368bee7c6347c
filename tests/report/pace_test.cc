#include "report/pace.h"

#include <string>

#include <gtest/gtest.h>

namespace helm::report {
namespace {

OpRow Row(int64_t predicted, int64_t measured, const std::string& source = "measured", const std::string& kind = "compute") {
  OpRow row;
  row.what.kind = kind;
  row.what.source = source;
  row.duration = {Duration::Microseconds(predicted), Duration::Microseconds(measured)};
  return row;
}

std::optional<Pace> Of(std::vector<OpRow> rows) {
  Comparison comparison;
  comparison.rows = std::move(rows);
  return PaceOf(comparison);
}

// Ratios 1.0, 1.7 and 9.0 with weights 10, 30, 5: half of 45 is reached at 1.7.
TEST(Pace, IsTheMedianWeightedWithPredictedTime) {
  const auto pace = Of({Row(5, 45), Row(30, 51), Row(10, 10)});
  ASSERT_TRUE(pace.has_value());
  EXPECT_DOUBLE_EQ(pace->slowdown, 1.7);
  EXPECT_EQ(pace->ops, 3);
  EXPECT_TRUE(pace->disturbed());
}

TEST(Pace, AFewWrongRowsAreNoDisturbance) {
  const auto pace = Of({Row(100, 104), Row(10, 100), Row(20, 200)});
  EXPECT_DOUBLE_EQ(pace->slowdown, 1.04);
  EXPECT_FALSE(pace->disturbed());
}

// A table that was measured beside other work makes the run look fast.
TEST(Pace, BothDirectionsCount) {
  EXPECT_TRUE(Of({Row(100, 80)})->disturbed());
  EXPECT_FALSE(Of({Row(100, 81)})->disturbed());
  EXPECT_FALSE(Of({Row(100, 124)})->disturbed());
  EXPECT_TRUE(Of({Row(100, 125)})->disturbed());
}

// Communication waits for others, and a formula's number says nothing about this machine.
TEST(Pace, LooksAtMeasuredComputeOpsOnly) {
  EXPECT_FALSE(Of({Row(10, 90, "analytic"), Row(10, 90, "interpolated"), Row(10, 90, "measured", "collective"), Row(0, 5)}).has_value());
  EXPECT_DOUBLE_EQ(Of({Row(1000, 9000, "analytic"), Row(1000, 9000, "measured", "wait"), Row(10, 11)})->slowdown, 1.1);
}

}  // namespace
}  // namespace helm::report
