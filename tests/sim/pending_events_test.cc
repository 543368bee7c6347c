#include "sim/pending_events.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>
#include <queue>
#include <random>
#include <tuple>
#include <vector>

namespace helm::sim {
namespace {

using Triple = std::tuple<int64_t, uint32_t, uint32_t>;
using Reference = std::priority_queue<Triple, std::vector<Triple>, std::greater<>>;

// The queue under test beside std::priority_queue: every pop must agree.
struct BothQueues {
  void Push(int64_t time, uint32_t task, uint32_t stamp = 0) {
    events.Push({time, task, stamp});
    reference.emplace(time, task, stamp);
  }
  bool PopAgrees() {
    const PendingEvent event = events.top();
    const bool same = Triple(event.time, event.task, event.stamp) == reference.top() && events.size() == reference.size();
    now = event.time;
    events.Pop();
    reference.pop();
    return same && events.empty() == reference.empty();
  }
  bool DrainAgrees() {
    while (!reference.empty()) {
      if (!PopAgrees()) return false;
    }
    return events.empty() && events.size() == 0;
  }
  PendingEvents events;
  Reference reference;
  int64_t now = 0;
};

TEST(PendingEvents, TiesEndInTheTaskNumber) {
  BothQueues queues;
  for (const uint32_t task : {7U, 3U, 9U, 0U}) queues.Push(100, task);
  queues.Push(99, 50);
  EXPECT_EQ(queues.events.top().task, 50U);
  ASSERT_TRUE(queues.PopAgrees());
  EXPECT_EQ(queues.events.top().task, 0U);
  EXPECT_TRUE(queues.DrainAgrees());
}

// At the time that is being worked on, a task with a lower number than the last one may still come.
TEST(PendingEvents, LowerTaskMayComeAtTheSameTime) {
  BothQueues queues;
  queues.Push(5, 8);
  queues.Push(5, 9);
  ASSERT_TRUE(queues.PopAgrees());
  queues.Push(5, 1);
  EXPECT_EQ(queues.events.top().task, 1U);
  EXPECT_TRUE(queues.DrainAgrees());
}

TEST(PendingEvents, LargestTimesAndNumbers) {
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
  BothQueues queues;
  for (uint32_t i = 0; i < 3000; ++i) queues.Push(kLast - (i % 2 == 0 ? 0 : static_cast<int64_t>(i) << 40), UINT32_MAX - i, UINT32_MAX);
  EXPECT_TRUE(queues.DrainAgrees());
}

// 20,000 events at one time: the queue cannot split them by time, and must still order them by number.
TEST(PendingEvents, ManyEventsAtOneTime) {
  std::minstd_rand random(3);  // NOLINT: the same in every run
  BothQueues queues;
  for (uint32_t i = 0; i < 20000; ++i) queues.Push(1000, random() % 100000);
  EXPECT_TRUE(queues.DrainAgrees());
}

// Ranks in lock step: 40 times with 500 events each, and while they are taken more come at the same time with lower and higher numbers, and
// at the next times.
TEST(PendingEvents, ManyEventsAtEachOfManyTimes) {
  std::minstd_rand random(6);  // NOLINT
  BothQueues queues;
  for (uint32_t i = 0; i < 20000; ++i) queues.Push(1000 * (1 + i % 40), random() % 100000);
  for (int i = 0; i < 15000; ++i) {
    ASSERT_TRUE(queues.PopAgrees());
    if (i % 3 == 0) queues.Push(queues.now, random() % 100000);
    if (i % 7 == 0) queues.Push(queues.now + 1000 * (random() % 3), random() % 100000);
    if (i % 11 == 0) queues.Push(queues.now + random() % 1000, random() % 100000);
  }
  EXPECT_TRUE(queues.DrainAgrees());
}

// Grows to 5,000 events (buckets), shrinks to 100 (heap), and again: both changes of form are crossed with events in flight.
TEST(PendingEvents, ChangesOfFormKeepTheOrder) {
  std::minstd_rand random(4);  // NOLINT
  BothQueues queues;
  for (int round = 0; round < 4; ++round) {
    while (queues.reference.size() < 5000) queues.Push(queues.now + random() % (uint64_t{1} << (5 + 8 * round)), random());
    while (queues.reference.size() > 100) ASSERT_TRUE(queues.PopAgrees());
  }
  EXPECT_TRUE(queues.DrainAgrees());
}

// An event may come before the one that was seen at the top, as long as nothing later was popped; here thousands do.
TEST(PendingEvents, EventsBeforeTheOneSeenAtTheTop) {
  std::minstd_rand random(5);  // NOLINT
  BothQueues queues;
  for (int i = 0; i < 3000; ++i) queues.Push(1000000 + random() % 1000000, random());
  ASSERT_TRUE(queues.PopAgrees());
  for (int round = 0; round < 10; ++round) {
    const int64_t seen = queues.events.top().time;
    for (int i = 0; i < 1500; ++i) queues.Push(queues.now + random() % (seen - queues.now + 1), random());
    for (int i = 0; i < 1000; ++i) queues.Push(queues.now + random() % 5000, random());
    for (int i = 0; i < 2200; ++i) ASSERT_TRUE(queues.PopAgrees());
  }
  EXPECT_TRUE(queues.DrainAgrees());
}

// Random pushes and pops, delays from 0 to 2^span, sizes that cross the limits between the two forms.
RC_GTEST_PROP(PendingEventsProperty, PopsLikeAPriorityQueue, ()) {
  const auto span = *rc::gen::inRange<int>(0, 50);
  const auto pushes = *rc::gen::inRange<int>(1, 4000);
  const auto pop_percent = *rc::gen::inRange<uint32_t>(0, 100);
  std::minstd_rand random(*rc::gen::inRange<uint32_t>(1, 1U << 30));
  BothQueues queues;
  for (int i = 0; i < pushes; ++i) {
    const int64_t delay = static_cast<int64_t>((static_cast<uint64_t>(random()) << 31 | random()) & ((uint64_t{1} << span) - 1));
    queues.Push(queues.now + delay, random() % 1000, random() % 3);
    if (random() % 100 < pop_percent && !queues.reference.empty()) RC_ASSERT(queues.PopAgrees());
  }
  RC_ASSERT(queues.DrainAgrees());
}

}  // namespace
}  // namespace helm::sim
