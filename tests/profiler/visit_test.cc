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

}  // namespace
}  // namespace helm::profiler
