// Meeting: what the threads of a group do together, round by round. Each member brings its part of a round without waiting for the others;
// the last to come acts on all parts, in the order of the members; whoever needs the result waits for it. Knows nothing of tensors.
//
// Members take part in every round, in the same order. Safe for concurrent use, one thread a member. Nobody waits for ever: after the
// time-out, or when `Alarm` says that some thread has failed, Wait throws.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace helm::runtime {

// Raised once, by the first thread that fails; ends the waiting of all others.
class Alarm {
 public:
  void Raise(std::string cause) {
    const std::lock_guard lock(mutex_);
    if (raised_.load()) return;
    cause_ = std::move(cause);
    raised_.store(true);
  }
  bool raised() const { return raised_.load(); }
  std::string cause() const {
    const std::lock_guard lock(mutex_);
    return cause_;
  }

 private:
  mutable std::mutex mutex_;
  std::string cause_;
  std::atomic<bool> raised_{false};
};

template <typename Part>
class Meeting {
 public:
  using Parts = std::vector<std::unique_ptr<Part>>;
  using Act = std::function<void(Parts&)>;

  class Round {
   public:
    explicit Round(size_t members) : parts_(members) {}

    // Returns once the act has ended; its exception is thrown here, to everybody.
    void Wait(const Alarm& alarm, std::chrono::milliseconds timeout) {
      constexpr auto kLook = std::chrono::milliseconds(20);  // between looks at the alarm
      const auto until = std::chrono::steady_clock::now() + timeout;
      std::unique_lock lock(mutex_);
      if (alarm.raised()) throw std::runtime_error(alarm.cause());  // also where nobody has to wait, or it would go on for ever
      while (!ended_.wait_for(lock, kLook, [this] { return done_; })) {
        if (alarm.raised()) throw std::runtime_error(alarm.cause());
        if (std::chrono::steady_clock::now() >= until)
          throw std::runtime_error("waited " + std::to_string(timeout.count() / 1000) + " s for " + Missing());
      }
      if (failure_) std::rethrow_exception(failure_);
    }

    // The parts after the act. REQUIRES: after Wait.
    Part& part(size_t member) { return *parts_[member]; }
    std::chrono::steady_clock::time_point end() const { return end_; }

   private:
    friend class Meeting;

    // True for the last one.
    bool Bring(size_t member, std::unique_ptr<Part> part) {
      const std::lock_guard lock(mutex_);
      parts_[member] = std::move(part);
      return ++brought_ == parts_.size();
    }

    void Run(const Act& act) {
      std::exception_ptr failure;
      try {
        act(parts_);
      } catch (...) {
        failure = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      failure_ = failure;
      end_ = std::chrono::steady_clock::now();
      done_ = true;
      ended_.notify_all();
    }

    std::string Missing() const {
      std::string text;
      for (size_t member = 0; member < parts_.size(); ++member) {
        if (parts_[member] == nullptr) text += (text.empty() ? "member " : ", ") + std::to_string(member);
      }
      return text + " of the group";
    }

    std::mutex mutex_;
    std::condition_variable ended_;
    Parts parts_;
    size_t brought_ = 0;
    bool done_ = false;
    std::exception_ptr failure_;
    std::chrono::steady_clock::time_point end_;
  };

  explicit Meeting(size_t members) : next_(members, 0) {}

  // The member's next round. Does not wait for other members; runs `act` where this is the last one.
  std::shared_ptr<Round> Bring(size_t member, std::unique_ptr<Part> part, const Act& act) {
    const std::shared_ptr<Round> round = RoundOf(member);
    if (round->Bring(member, std::move(part))) round->Run(act);
    return round;
  }

  size_t members() const { return next_.size(); }

 private:
  std::shared_ptr<Round> RoundOf(size_t member) {
    const std::lock_guard lock(mutex_);
    const int64_t number = next_[member]++;
    Entry& entry = open_[number];
    if (entry.round == nullptr) entry.round = std::make_shared<Round>(next_.size());
    const std::shared_ptr<Round> round = entry.round;
    if (++entry.taken == next_.size()) open_.erase(number);
    return round;
  }

  struct Entry {
    std::shared_ptr<Round> round;
    size_t taken = 0;
  };
  std::mutex mutex_;
  std::vector<int64_t> next_;      // by member
  std::map<int64_t, Entry> open_;  // rounds that some member has not come to yet
};

}  // namespace helm::runtime
