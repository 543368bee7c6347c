// Threads of a group that meet round by round. Runs under ThreadSanitizer too, so no torch here.
#include "runtime/meeting.h"

#include <numeric>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace helm::runtime {
namespace {

using ::testing::HasSubstr;
constexpr std::chrono::milliseconds kLong{20000};

// Runs `body(member)` on a thread for each member.
template <typename Body>
void OnThreads(size_t members, const Body& body) {
  std::vector<std::jthread> threads;
  for (size_t member = 0; member < members; ++member) threads.emplace_back([&body, member] { body(member); });
}

void Sum(Meeting<int64_t>::Parts& parts) {
  int64_t sum = 0;
  for (const auto& part : parts) sum += *part;
  for (const auto& part : parts) *part = sum;
}

std::string FailureOf(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

// In round r member m brings m + 10 r: the sum over four members is 6 + 40 r. Members start all rounds before they wait for the first, so
// that several rounds are open at once.
TEST(MeetingThreads, RoundsKeepApart) {
  constexpr size_t kMembers = 4;
  constexpr int64_t kRounds = 200;
  Meeting<int64_t> meeting(kMembers);
  const Alarm alarm;
  OnThreads(kMembers, [&](size_t member) {
    std::vector<std::shared_ptr<Meeting<int64_t>::Round>> rounds;
    for (int64_t r = 0; r < kRounds; ++r) {
      rounds.push_back(meeting.Bring(member, std::make_unique<int64_t>(static_cast<int64_t>(member) + 10 * r), Sum));
    }
    for (int64_t r = 0; r < kRounds; ++r) {
      rounds[static_cast<size_t>(r)]->Wait(alarm, kLong);
      EXPECT_EQ(rounds[static_cast<size_t>(r)]->part(member), 6 + 40 * r);
    }
  });
}

// Two groups that overlap, started in opposite order by the two threads: bringing must not wait.
TEST(MeetingThreads, OrderAmongGroupsDoesNotMatter) {
  Meeting<int64_t> a(2);
  Meeting<int64_t> b(2);
  const Alarm alarm;
  OnThreads(2, [&](size_t member) {
    for (int i = 0; i < 100; ++i) {
      auto& first = member == 0 ? a : b;
      auto& second = member == 0 ? b : a;
      const auto one = first.Bring(member, std::make_unique<int64_t>(1), Sum);
      const auto two = second.Bring(member, std::make_unique<int64_t>(2), Sum);
      one->Wait(alarm, kLong);
      two->Wait(alarm, kLong);
      EXPECT_EQ(one->part(member) + two->part(member), 6);  // 1 + 2 in each of both
    }
  });
}

TEST(MeetingThreads, AFailureOfTheActReachesEverybody) {
  Meeting<int64_t> meeting(3);
  const Alarm alarm;
  OnThreads(3, [&](size_t member) {
    const auto round = meeting.Bring(member, std::make_unique<int64_t>(0), [](auto&) { throw std::runtime_error("no memory"); });
    EXPECT_EQ(FailureOf([&] { round->Wait(alarm, kLong); }), "no memory");
  });
}

TEST(MeetingThreads, WhoNeverComesIsNamed) {
  Meeting<int64_t> meeting(4);
  const Alarm alarm;
  (void)meeting.Bring(2, std::make_unique<int64_t>(0), Sum);
  const auto round = meeting.Bring(0, std::make_unique<int64_t>(0), Sum);
  EXPECT_EQ(FailureOf([&] { round->Wait(alarm, std::chrono::milliseconds(60)); }), "waited 0 s for member 1, 3 of the group");
}

TEST(MeetingThreads, AnAlarmEndsTheWaiting) {
  Meeting<int64_t> meeting(2);
  Alarm alarm;
  const auto round = meeting.Bring(0, std::make_unique<int64_t>(0), Sum);
  std::jthread other([&alarm] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    alarm.Raise("rank 1 failed");
    alarm.Raise("rank 2 failed");  // the first cause counts
  });
  EXPECT_EQ(FailureOf([&] { round->Wait(alarm, kLong); }), "rank 1 failed");
}

TEST(MeetingThreads, AnAlarmEndsThoseTooThatNeedNotWait) {
  Meeting<int64_t> meeting(1);
  Alarm alarm;
  alarm.Raise("interrupted");
  const auto round = meeting.Bring(0, std::make_unique<int64_t>(0), Sum);
  EXPECT_EQ(FailureOf([&] { round->Wait(alarm, kLong); }), "interrupted");
}

}  // namespace
}  // namespace helm::runtime
