#include "profiler/stopping_rule.h"

#include <gtest/gtest.h>

namespace helm::profiler {
namespace {

std::vector<Duration> Micros(const std::vector<double>& values) {
  std::vector<Duration> samples;
  for (double value : values) samples.push_back(Duration::Microseconds(value));
  return samples;
}

// Sorted 1 2 3 4 10: positions 1, 2 and 3 of 0..4 are the quartiles: 2, 3, 4.
TEST(QuartilesTest, AreOrderStatistics) {
  const Quartiles quartiles = QuartilesOf(Micros({10, 2, 1, 4, 3}));
  EXPECT_EQ(quartiles.lower, Duration::Microseconds(2));
  EXPECT_EQ(quartiles.median, Duration::Microseconds(3));
  EXPECT_EQ(quartiles.upper, Duration::Microseconds(4));
}

// A hundredth of five samples is rounded up to one: 100 is left out, the mean of the others is 2.5. A fifth of slow samples stays in:
// (2 + 2 + 2 + 9) / 4 = 3.75, where the other 9 is the slowest.
TEST(QuartilesTest, MeanLeavesTheSlowestOut) {
  EXPECT_EQ(QuartilesOf(Micros({100, 2, 1, 4, 3})).mean, Duration::Microseconds(2.5));
  EXPECT_EQ(QuartilesOf(Micros({9, 2, 2, 9, 2})).mean, Duration::Microseconds(3.75));
  EXPECT_EQ(QuartilesOf(Micros({7})).mean, Duration::Microseconds(7));
}

// Sorted 10 20: the quartile positions 0.25, 0.5, 0.75 of 0..1 give 12.5, 15, 17.5.
TEST(QuartilesTest, InterpolateBetweenSamples) {
  const Quartiles quartiles = QuartilesOf(Micros({20, 10}));
  EXPECT_EQ(quartiles.lower, Duration::Microseconds(12.5));
  EXPECT_EQ(quartiles.median, Duration::Microseconds(15));
  EXPECT_EQ(quartiles.upper, Duration::Microseconds(17.5));
}

// Nine samples are the fewest whose 95 % interval (ranks 4.5 -+ 2.94) lies inside them.
TEST(StoppingRuleTest, StopsAtTheMinimumWhenSamplesAgree) {
  StoppingRule rule({.samples_minimum = 9, .samples_maximum = 100});
  for (int i = 0; i < 8; ++i) {
    rule.AddSample(Duration::Microseconds(50), Duration::Microseconds(50));
    EXPECT_FALSE(rule.Finished()) << i;
  }
  rule.AddSample(Duration::Microseconds(50), Duration::Microseconds(50));
  EXPECT_TRUE(rule.Finished());
}

// Alternating 50 and 100: the confidence interval spans both values, a half width of 25 / 75 = 1/3, however many samples there are.
TEST(StoppingRuleTest, GoesOnWhileSamplesDisagreeUntilTheMaximum) {
  StoppingRule rule({.samples_minimum = 7, .samples_maximum = 40, .time_maximum = Duration::Seconds(1)});
  for (int i = 0; i < 39; ++i) rule.AddSample(Duration::Microseconds(i % 2 == 0 ? 50 : 100), Duration::Microseconds(i % 2 == 0 ? 50 : 100));
  EXPECT_FALSE(rule.Finished());
  rule.AddSample(Duration::Microseconds(100), Duration::Microseconds(100));
  EXPECT_TRUE(rule.Finished());
  EXPECT_NEAR(rule.RelativeHalfWidth(), 1.0 / 3, 1e-9);
}

TEST(StoppingRuleTest, OneOutlierDoesNotKeepItGoing) {
  StoppingRule rule({.samples_minimum = 16, .samples_maximum = 100});
  rule.AddSample(Duration::Milliseconds(5), Duration::Milliseconds(5));
  for (int i = 0; i < 15; ++i) rule.AddSample(Duration::Microseconds(50), Duration::Microseconds(50));
  EXPECT_TRUE(rule.Finished());
}

TEST(StoppingRuleTest, StopsWhenTheTimeIsSpent) {
  StoppingRule rule({.samples_minimum = 2, .samples_maximum = 100, .time_maximum = Duration::Milliseconds(10)});
  rule.AddSample(Duration::Milliseconds(4), Duration::Milliseconds(4));
  rule.AddSample(Duration::Milliseconds(8), Duration::Milliseconds(8));
  EXPECT_TRUE(rule.Finished());
}

}  // namespace
}  // namespace helm::profiler
