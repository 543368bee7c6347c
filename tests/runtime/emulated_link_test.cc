// The thread of an emulated link, and two ranks that meet on theirs. Runs under ThreadSanitizer too, so no torch here. A machine may be
// late, never early: times are held against their lower bounds alone.
#include "runtime/emulated_link.h"

#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/meeting.h"

namespace helm::runtime {
namespace {

using Clock = EmulatedLink::Clock;
using std::chrono::milliseconds;
constexpr milliseconds kLong{20000};

// A transfer of one rank alone, and when it ended, or how it failed.
struct Observed {
  EmulatedLink::Transfer transfer;
  std::shared_ptr<std::promise<Clock::time_point>> promise = std::make_shared<std::promise<Clock::time_point>>();
  std::future<Clock::time_point> end = promise->get_future();

  explicit Observed(Clock::duration duration) {
    transfer.meet = [](Clock::time_point ready) { return ready; };
    transfer.move = [] {};
    transfer.duration = duration;
    transfer.done = [promise = promise](const std::exception_ptr& failure) {
      if (failure != nullptr) {
        promise->set_exception(failure);
      } else {
        promise->set_value(Clock::now());
      }
    };
  }
};

std::string FailureOf(std::future<Clock::time_point>& end) {
  try {
    end.get();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

TEST(EmulatedLinkThreads, TransfersTakeTheirTimesOneAfterTheOther) {
  EmulatedLink link;
  const Clock::time_point start = Clock::now();
  Observed first(milliseconds(20));
  Observed second(milliseconds(30));
  link.Start(std::move(first.transfer));
  link.Start(std::move(second.transfer));
  EXPECT_GE(first.end.get() - start, milliseconds(20));
  EXPECT_GE(second.end.get() - start, milliseconds(50));
}

TEST(EmulatedLinkThreads, StartingDoesNotWaitAndTheDataIsWaitedFor) {
  EmulatedLink link;
  std::promise<void> data;
  Observed slow(Clock::duration::zero());
  slow.transfer.move = [arrived = data.get_future().share()] { arrived.wait(); };
  link.Start(std::move(slow.transfer));
  EXPECT_EQ(slow.end.wait_for(milliseconds(5)), std::future_status::timeout);
  data.set_value();
  slow.end.get();
}

// Two ranks, of which one is ready 20 ms after the other: the transfer ends for both 30 ms after that.
TEST(EmulatedLinkThreads, ATransferBeginsWhenTheLastRankIsReady) {
  Meeting<Clock::time_point> meeting(2);
  const Alarm alarm;
  const auto meet = [&](size_t member) {
    return [&meeting, &alarm, member](Clock::time_point ready) {
      const auto round = meeting.Bring(member, std::make_unique<Clock::time_point>(ready), [](Meeting<Clock::time_point>::Parts& ranks) {
        *ranks[0] = *ranks[1] = std::max(*ranks[0], *ranks[1]);
      });
      round->Wait(alarm, kLong);
      return round->part(member);
    };
  };
  EmulatedLink links[2];
  Observed early(milliseconds(30));
  Observed late(milliseconds(30));
  early.transfer.meet = meet(0);
  late.transfer.meet = meet(1);
  links[0].Start(std::move(early.transfer));
  std::this_thread::sleep_for(milliseconds(20));
  const Clock::time_point ready = Clock::now();
  links[1].Start(std::move(late.transfer));
  EXPECT_GE(early.end.get() - ready, milliseconds(30));
  EXPECT_GE(late.end.get() - ready, milliseconds(30));
}

TEST(EmulatedLinkThreads, AFailureIsThatOfAllLaterTransfers) {
  EmulatedLink link;
  Observed broken(Clock::duration::zero());
  Observed later(Clock::duration::zero());
  broken.transfer.move = [] { throw std::runtime_error("connection lost"); };
  later.transfer.move = [] { FAIL() << "moved after a failure"; };
  link.Start(std::move(broken.transfer));
  link.Start(std::move(later.transfer));
  EXPECT_EQ(FailureOf(broken.end), "connection lost");
  EXPECT_EQ(FailureOf(later.end), "connection lost");
}

// The link rests in a transfer of an hour when it is closed.
TEST(EmulatedLinkThreads, ClosingEndsWhatHasNotBegun) {
  Observed begun(std::chrono::hours(1));
  Observed waiting(Clock::duration::zero());
  std::promise<void> moved;
  begun.transfer.move = [&moved] { moved.set_value(); };
  {
    EmulatedLink link;
    link.Start(std::move(begun.transfer));
    link.Start(std::move(waiting.transfer));
    moved.get_future().wait();
  }
  EXPECT_EQ(FailureOf(begun.end), "");
  EXPECT_EQ(FailureOf(waiting.end), "the connection was closed");
}

// Tensors are freed when the program says so, not when the link's thread gets to it.
TEST(EmulatedLinkThreads, LetsGoOfTheDataBeforeItIsDone) {
  EmulatedLink link;
  const auto tensor = std::make_shared<int>(7);
  Observed observed(Clock::duration::zero());
  observed.transfer.move = [tensor] {};
  link.Start(std::move(observed.transfer));
  observed.end.get();
  EXPECT_EQ(tensor.use_count(), 1);
}

}  // namespace
}  // namespace helm::runtime
