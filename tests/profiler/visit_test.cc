#include "profiler/visit.h"

#include <gtest/gtest.h>

namespace helm::profiler {
namespace {

// Slots at 0, 2 and 4 ms. A sample that ends at 3 ms has missed the second slot and starts at once; the third is where it was.
TEST(Slots, ARankWaitsForItsSlotUnlessItIsLate) {
  const auto start = Slots::Clock::now();
  const auto milliseconds = [](int count) { return std::chrono::milliseconds(count); };
  Slots slots(start, Duration::Milliseconds(2));
  slots.WaitForNext();
  Slots::Clock::time_point now = Slots::Clock::now();
  while (now < start + milliseconds(3)) now = Slots::Clock::now();
  slots.WaitForNext();
  slots.WaitForNext();
  EXPECT_GE(Slots::Clock::now(), start + milliseconds(4));
  slots.WaitForNext();
  EXPECT_GE(Slots::Clock::now(), start + milliseconds(6));
}

// Two ranks, four slots, in us: (10, 12), (14, 10), (11, 11), (20, 30). The slower exceeds the mean by 1, 2, 0 and 5: 1 on average without
// the slowest hundredth, rounded up to one slot.
TEST(WaitOfRanks, IsByWhatTheSlowestExceedsTheMean) {
  const auto us = [](int count) { return Duration::Microseconds(count); };
  EXPECT_EQ(WaitOfRanks({{us(10), us(14), us(11), us(20)}, {us(12), us(10), us(11), us(30)}}), us(1));
  EXPECT_EQ(WaitOfRanks({{us(10), us(14)}}), std::nullopt) << "one rank waits for nobody";
  EXPECT_EQ(WaitOfRanks({{}, {}}), std::nullopt);
}

}  // namespace
}  // namespace helm::profiler
