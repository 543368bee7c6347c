#include "cost/quartiles.h"

#include <gtest/gtest.h>

namespace helm::cost {
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

}  // namespace
}  // namespace helm::cost
