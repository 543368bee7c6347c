// Cancellation: what long work asks now and then: has somebody pressed Ctrl-C, or has the time that was given run out?
//
// A value that is passed down, not a global; copies ask the same flag. It stops nothing by itself: work that finds it requested leaves
// with Check()'s Status and keeps nothing half-done. Asking costs about as much as reading the clock, so loops whose turns are short ask
// only every kAskEvery turns. The flag outlives all copies.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>

#include "core/status.h"

namespace helm {

class Cancellation {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr size_t kAskEvery = 4096;  // turns of a loop that takes a microsecond a turn

  Cancellation() = default;  // never requested
  // `interrupted` may be null; `deadline` may be absent.
  explicit Cancellation(const std::atomic<bool>* interrupted, std::optional<Clock::time_point> deadline = std::nullopt)
      : interrupted_(interrupted), deadline_(deadline) {}

  bool interrupted() const { return interrupted_ != nullptr && interrupted_->load(std::memory_order_relaxed); }
  bool late() const { return deadline_.has_value() && Clock::now() >= *deadline_; }
  bool requested() const { return interrupted() || late(); }

  // kInterrupted once it is requested, for one reason or the other.
  Status Check() const {
    if (!requested()) return OkStatus();
    return {StatusCode::kInterrupted, interrupted() ? "error: interrupted" : "error: the time limit has passed"};
  }
  // The same for turn `turn` of a loop, asked for one turn in kAskEvery alone.
  bool RequestedAt(size_t turn) const { return turn % kAskEvery == 0 && requested(); }
  Status CheckAt(size_t turn) const { return turn % kAskEvery == 0 ? Check() : OkStatus(); }

 private:
  const std::atomic<bool>* interrupted_ = nullptr;
  std::optional<Clock::time_point> deadline_;
};

}  // namespace helm
