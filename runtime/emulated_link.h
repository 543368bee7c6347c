// EmulatedLink: what one group of ranks sends over an emulated network, one transfer after the other, carried by a thread of its own. Knows
// nothing of tensors, nor of what else the rank does: it is as busy as a real link would be, and the rank computes meanwhile.
//
// A transfer begins when all its ranks are ready for it and the transfer before it has ended, and ends its duration later, or when the data
// is really there, if that takes longer. So no link is faster than what moves the data; everything slower is kept to by the clock.
//
// Starting does not wait. Safe for concurrent use. After a transfer that failed all later ones fail at once with the same error.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace helm::runtime {

class EmulatedLink {
 public:
  using Clock = std::chrono::steady_clock;

  // The functions are called on the link's thread, `done` last, once, and what the others hold is let go before it. What `meet` or `move`
  // throws is the transfer's failure.
  struct Transfer {
    // Tells the other ranks when this one is ready, and returns when the last of them is. All ranks read the same clock.
    std::function<Clock::time_point(Clock::time_point ready)> meet;
    std::function<void()> move;  // the data; returns when this rank has its part
    std::function<void(std::exception_ptr failure)> done;
    Clock::duration duration{};  // on the emulated link
  };

  EmulatedLink();
  // Transfers that have not begun fail; waits for the one under way to be moved, not for its duration.
  ~EmulatedLink();
  EmulatedLink(const EmulatedLink&) = delete;
  EmulatedLink& operator=(const EmulatedLink&) = delete;

  void Start(Transfer transfer);

 private:
  struct Queued {
    Transfer transfer;
    Clock::time_point ready;
  };

  void Serve();
  void Carry(Queued queued);
  void RestUntil(Clock::time_point end);

  std::mutex mutex_;
  std::condition_variable news_;
  std::deque<Queued> queue_;
  bool stopping_ = false;
  // Of the thread alone:
  Clock::time_point free_from_{};
  std::exception_ptr failure_;
  std::thread thread_;  // last: it begins when the rest is there
};

}  // namespace helm::runtime
