#include "runtime/emulated_link.h"

#include <sys/prctl.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace helm::runtime {

EmulatedLink::EmulatedLink() : thread_([this] { Serve(); }) {}

EmulatedLink::~EmulatedLink() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    news_.notify_all();
  }
  thread_.join();
}

void EmulatedLink::Start(Transfer transfer) {
  const Clock::time_point ready = Clock::now();
  const std::lock_guard lock(mutex_);
  queue_.push_back({std::move(transfer), ready});
  news_.notify_all();
}

void EmulatedLink::Serve() {
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);  // of this thread, in ns; Linux's default of 50 us is the latency of a good network
  std::unique_lock lock(mutex_);
  while (true) {
    news_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Queued next = std::move(queue_.front());
    queue_.pop_front();
    if (stopping_ && failure_ == nullptr) failure_ = std::make_exception_ptr(std::runtime_error("the connection was closed"));
    lock.unlock();
    Carry(std::move(next));
    lock.lock();
  }
}

void EmulatedLink::Carry(Queued queued) {
  try {
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    const Clock::time_point begin = queued.transfer.meet(std::max(queued.ready, free_from_));
    const Clock::time_point end = begin + queued.transfer.duration;
    queued.transfer.move();
    RestUntil(end);
    free_from_ = std::max(end, Clock::now());
  } catch (...) {
    failure_ = std::current_exception();
  }
  queued.transfer.meet = nullptr;
  queued.transfer.move = nullptr;
  queued.transfer.done(failure_);
}

void EmulatedLink::RestUntil(Clock::time_point end) {
  std::unique_lock lock(mutex_);
  news_.wait_until(lock, end, [this] { return stopping_; });
}

}  // namespace helm::runtime
