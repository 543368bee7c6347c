#include "core/cancellation.h"

#include <gtest/gtest.h>

namespace helm {
namespace {

TEST(Cancellation, NeverOfItself) {
  EXPECT_FALSE(Cancellation().requested());
  EXPECT_TRUE(Cancellation().Check().ok());
  EXPECT_FALSE(Cancellation(nullptr).requested());
}

TEST(Cancellation, CopiesAskTheSameFlag) {
  std::atomic<bool> flag = false;
  const Cancellation cancellation(&flag);
  const Cancellation copy = cancellation;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_TRUE(copy.Check().ok());
  flag = true;
  EXPECT_TRUE(cancellation.interrupted() && copy.interrupted());
  EXPECT_EQ(copy.Check().code(), StatusCode::kInterrupted);
  EXPECT_EQ(copy.Check().message(), "error: interrupted");
}

TEST(Cancellation, ADeadlineThatHasPassed) {
  const auto now = Cancellation::Clock::now();
  EXPECT_EQ(Cancellation(nullptr, now).Check().message(), "error: the time limit has passed");
  EXPECT_TRUE(Cancellation(nullptr, now + std::chrono::hours(1)).Check().ok());
}

TEST(Cancellation, LoopsAskNowAndThen) {
  const std::atomic<bool> flag = true;
  const Cancellation cancellation(&flag);
  EXPECT_FALSE(cancellation.CheckAt(0).ok());
  EXPECT_TRUE(cancellation.CheckAt(1).ok());
  EXPECT_FALSE(cancellation.CheckAt(3 * Cancellation::kAskEvery).ok());
}

}  // namespace
}  // namespace helm
