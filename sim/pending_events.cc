#include "sim/pending_events.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/check.h"

namespace helm::sim {
namespace {

uint64_t TimeOf(EventKey key) { return static_cast<uint64_t>(key >> 64); }

// Number of the highest bit in which the times differ, counted from 1; 0 for equal times.
size_t BucketOf(uint64_t time, uint64_t base) { return static_cast<size_t>(std::bit_width(time ^ base)); }

}  // namespace

void PendingEvents::PushFar(EventKey key) {
  buckets_[BucketOf(TimeOf(key), base_)].push_back(key);
  ++far_count_;
}

// Moves all but the earliest time out of the near heap. Events at one time stay together: task numbers need not grow. The base never goes
// back, since the buckets that are filled are relative to it; events pushed before it, after a look at top(), stay in the heap.
void PendingEvents::Spread() {
  if (near_end_ == base_ + 1) return;  // nothing to split off
  const uint64_t earliest = TimeOf(near_.top());
  base_ = near_end_ == kNoEnd ? earliest : std::max(base_, earliest);
  near_end_ = base_ + 1;
  for (const EventKey key : near_.TakeAll()) {
    if (TimeOf(key) <= base_) {
      near_.Push(key);
    } else {
      PushFar(key);
    }
  }
}

void PendingEvents::Refill() {
  if (far_count_ <= kHeapMost) {
    for (std::vector<EventKey>& bucket : buckets_) {
      for (const EventKey key : bucket) near_.Push(key);
      bucket.clear();
    }
    far_count_ = 0;
    near_end_ = kNoEnd;
    return;
  }
  size_t lowest = 1;
  while (buckets_[lowest].empty()) ++lowest;
  TakeBucket(lowest);
}

// The lowest bucket goes into the near heap whole when it is small; otherwise its earliest time becomes the base and the rest is split.
void PendingEvents::TakeBucket(size_t bucket) {
  std::vector<EventKey> keys = std::move(buckets_[bucket]);
  far_count_ -= keys.size();
  if (keys.size() <= kUnsplitMost) {
    const uint64_t bit = uint64_t{1} << (bucket - 1);
    const uint64_t begin = (base_ & ~(2 * bit - 1)) | bit;  // the bits above agree with the base, this one does not; times have no bit 63
    base_ = begin;
    near_end_ = begin + bit;
    for (const EventKey key : keys) near_.Push(key);
  } else {
    base_ = TimeOf(*std::min_element(keys.begin(), keys.end()));
    near_end_ = base_ + 1;
    run_.clear();
    run_next_ = 0;
    for (const EventKey key : keys) {
      if (TimeOf(key) == base_) {
        run_.push_back(key);
      } else {
        PushFar(key);
      }
    }
    if (!std::is_sorted(run_.begin(), run_.end())) std::sort(run_.begin(), run_.end());
  }
  HELM_CHECK(!empty(), "the lowest bucket holds the earliest event");
  keys.clear();
  if (buckets_[bucket].empty()) buckets_[bucket] = std::move(keys);  // keep its memory
}

}  // namespace helm::sim
