#include "profiler/stopping_rule.h"

#include <gtest/gtest.h>

namespace helm::profiler {
namespace {

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

// Three visits to a measurement of at least 9 samples that agree and at most 30 ms: 3 samples end the first (the interval needs 8 samples,
// the minimum is 9, a third of 30 ms is spent by two samples of 5 ms), 9 end the third.
TEST(StoppingRuleTest, AVisitHasItsShareOfSamplesAndTime) {
  StoppingRule rule({.samples_minimum = 9, .samples_maximum = 100, .time_maximum = Duration::Milliseconds(30)});
  for (int i = 0; i < 2; ++i) rule.AddSample(Duration::Milliseconds(5), Duration::Milliseconds(5));
  EXPECT_FALSE(rule.Finished(1.0 / 3)) << "10 ms are spent, but 3 samples is the least";
  rule.AddSample(Duration::Milliseconds(5), Duration::Milliseconds(5));
  EXPECT_TRUE(rule.Finished(1.0 / 3));
  EXPECT_FALSE(rule.Finished(2.0 / 3));
  for (int i = 0; i < 5; ++i) rule.AddSample(Duration::Milliseconds(5), Duration::Milliseconds(5));
  EXPECT_FALSE(rule.Finished()) << "40 ms are spent, but 9 samples is the least";
  rule.AddSample(Duration::Milliseconds(5), Duration::Milliseconds(5));
  EXPECT_TRUE(rule.Finished());
}

}  // namespace
}  // namespace helm::profiler
