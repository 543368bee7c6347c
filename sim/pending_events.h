// PendingEvents: the events of a simulation that have not happened yet, earliest first; of equal times the lowest task number first.
//
// Monotone: an event may not be pushed before the time of the event popped last (its task number is free). That is what a simulation does,
// and it lets the queue stay fast when it is large:
//  * few events: a 4-ary heap of 16-byte keys (time, task, stamp packed, so that one comparison decides and four siblings fill a cache
//    line);
//  * many events: a radix heap (Ahuja, Mehlhorn, Orlin, Tarjan 1990): bucket b holds the events whose time first differs from a base in bit
//    b - 1. Only the lowest bucket is ever split, and a bucket that fits the first-level cache goes into the 4-ary heap;
//  * many at once, ranks in lock step: when a large bucket is split, the events at its earliest time are sorted once and taken from the
//    front.
// The first form is the second one with all buckets empty. The order of pops is that of std::priority_queue on (time, task, stamp).
//
// Cancelling is the caller's: push again with another stamp, and skip what is popped with an old one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace helm::sim {

struct PendingEvent {
  int64_t time = 0;  // picoseconds, not negative
  uint32_t task = 0;
  uint32_t stamp = 0;
};

// time, task and stamp in one number that compares like the triple.
using EventKey = unsigned __int128;

constexpr EventKey PackEvent(const PendingEvent& event) {
  return static_cast<EventKey>(static_cast<uint64_t>(event.time)) << 64 | static_cast<uint64_t>(event.task) << 32 | event.stamp;
}
constexpr PendingEvent UnpackEvent(EventKey key) {
  return {static_cast<int64_t>(static_cast<uint64_t>(key >> 64)), static_cast<uint32_t>(static_cast<uint64_t>(key) >> 32),
          static_cast<uint32_t>(key)};
}

// A minimum heap in which a node has four children: half as deep as a binary one, and siblings lie together.
class FourAryHeap {
 public:
  bool empty() const { return keys_.empty(); }
  size_t size() const { return keys_.size(); }
  EventKey top() const { return keys_.front(); }

  void Push(EventKey key) {
    size_t hole = keys_.size();
    keys_.push_back(key);
    for (; hole > 0 && key < keys_[(hole - 1) / 4]; hole = (hole - 1) / 4) keys_[hole] = keys_[(hole - 1) / 4];
    keys_[hole] = key;
  }

  void Pop() {
    const EventKey moved = keys_.back();
    keys_.pop_back();
    const size_t count = keys_.size();
    if (count == 0) return;
    EventKey* const keys = keys_.data();
    size_t hole = 0;
    for (size_t child = 1; child < count; child = 4 * hole + 1) {
      const size_t least = child + 4 <= count ? LeastOfFour(keys, child) : LeastOf(keys, child, count);
      if (moved <= keys[least]) break;
      keys[hole] = keys[least];
      hole = least;
    }
    keys[hole] = moved;
  }

  std::vector<EventKey> TakeAll() { return std::exchange(keys_, {}); }

 private:
  static size_t LeastOfFour(const EventKey* keys, size_t first) {
    const size_t left = first + (keys[first + 1] < keys[first] ? 1 : 0);
    const size_t right = first + (keys[first + 3] < keys[first + 2] ? 3 : 2);
    return keys[right] < keys[left] ? right : left;
  }
  static size_t LeastOf(const EventKey* keys, size_t first, size_t end) {
    size_t least = first;
    for (size_t i = first + 1; i < end; ++i) least = keys[i] < keys[least] ? i : least;
    return least;
  }

  std::vector<EventKey> keys_;
};

class PendingEvents {
 public:
  bool empty() const { return near_.empty() && !InRun(); }  // the buckets are empty when both are
  size_t size() const { return near_.size() + run_.size() - run_next_ + far_count_; }
  PendingEvent top() const { return UnpackEvent(RunIsFirst() ? run_[run_next_] : near_.top()); }

  // REQUIRES: event.time >= the time of the last event popped, and >= 0.
  void Push(const PendingEvent& event) {
    const EventKey key = PackEvent(event);
    if (static_cast<uint64_t>(event.time) < near_end_) {
      near_.Push(key);
      if (near_.size() > kNearMost) Spread();
    } else {
      PushFar(key);
    }
  }

  // REQUIRES: !empty().
  void Pop() {
    if (RunIsFirst()) {
      ++run_next_;
    } else {
      near_.Pop();
    }
    if (near_.empty() && far_count_ > 0 && !InRun()) Refill();
  }

 private:
  // The near heap is spread over the buckets when it outgrows 16 KiB; a bucket of up to 1 KiB is not split any further; when fewer events
  // than 4 KiB are left in all, the heap takes them. Chosen by bench/pending_events_bench.cc; between the first and the last is the
  // hysteresis that keeps the queue from changing form again and again.
  static constexpr size_t kNearMost = 1024;
  static constexpr size_t kUnsplitMost = 64;
  static constexpr size_t kHeapMost = 256;
  static constexpr uint64_t kNoEnd = std::numeric_limits<uint64_t>::max();

  bool InRun() const { return run_next_ < run_.size(); }
  bool RunIsFirst() const { return InRun() && (near_.empty() || run_[run_next_] < near_.top()); }
  void PushFar(EventKey key);
  void Spread();
  void Refill();
  void TakeBucket(size_t bucket);

  FourAryHeap near_;                               // events before near_end_
  uint64_t near_end_ = kNoEnd;                     // kNoEnd: the buckets are empty
  uint64_t base_ = 0;                              // the buckets are relative to this time; far events are later
  size_t far_count_ = 0;                           // events in the buckets
  std::vector<EventKey> run_;                      // events at one time, in order
  size_t run_next_ = 0;                            // the first of run_ that has not been popped
  std::array<std::vector<EventKey>, 65> buckets_;  // [0] stays empty: events at base_ are near
};

}  // namespace helm::sim
