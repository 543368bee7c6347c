#include "sim/caching_allocator.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"

namespace helm::sim {
namespace {

constexpr int64_t kMebibyte = int64_t{1} << 20;
constexpr int64_t kBlockSizeLeast = 512;
constexpr int64_t kSmallSizeMost = kMebibyte;
constexpr int64_t kSmallSegment = 2 * kMebibyte;
constexpr int64_t kLargeSegment = 20 * kMebibyte;
constexpr int64_t kOwnSegmentLeast = 10 * kMebibyte;  // from here on a segment is as large as the request
constexpr int64_t kSegmentGrain = 2 * kMebibyte;
constexpr int64_t kOversizeSlack = kLargeSegment;    // how much larger a block may serve an oversize request
constexpr int64_t kAddressRange = int64_t{1} << 44;  // of one expandable segment: more than any device has

int64_t RoundUp(int64_t value, int64_t grain) { return (value + grain - 1) / grain * grain; }

int64_t SegmentSize(int64_t size) {
  if (size <= kSmallSizeMost) return kSmallSegment;
  return size < kOwnSegmentLeast ? kLargeSegment : RoundUp(size, kSegmentGrain);
}

int64_t PageSize(bool small) { return small ? kSmallSegment : kLargeSegment; }

}  // namespace

size_t CachingAllocator::NewBlock(const Block& block) {
  if (unused_.empty()) {
    blocks_.push_back(block);
    return blocks_.size() - 1;
  }
  const size_t at = unused_.back();
  unused_.pop_back();
  blocks_[at] = block;
  return at;
}

void CachingAllocator::Erase(size_t block) {
  if (blocks_[block].previous != kNone) blocks_[blocks_[block].previous].next = blocks_[block].next;
  if (blocks_[block].next != kNone) blocks_[blocks_[block].next].previous = blocks_[block].previous;
  unused_.push_back(block);
}

void CachingAllocator::InsertFree(size_t block) {
  const Block& free = blocks_[block];
  pools_[free.pool].free.insert({free.size, free.address, block});
}

void CachingAllocator::RemoveFree(size_t block) {
  const Block& free = blocks_[block];
  pools_[free.pool].free.erase({free.size, free.address, block});
}

size_t CachingAllocator::SplitAfter(size_t block, int64_t size) {
  Block rest = blocks_[block];
  rest.address += size;
  rest.size -= size;
  rest.previous = block;
  const size_t at = NewBlock(rest);
  if (rest.next != kNone) blocks_[rest.next].previous = at;
  blocks_[block].next = at;
  blocks_[block].size = size;
  return at;
}

// `neighbour` is the next of `block`, or the one before it; `block` takes over its bytes.
void CachingAllocator::MergeInto(size_t block, size_t neighbour) {
  blocks_[block].address = std::min(blocks_[block].address, blocks_[neighbour].address);
  blocks_[block].size += blocks_[neighbour].size;
  Erase(neighbour);
}

bool CachingAllocator::Reserve(int64_t bytes) {
  if (bytes > options_.capacity.count() - usage_.reserved.count()) return false;
  usage_.reserved += Bytes(bytes);
  usage_.reserved_peak = std::max(usage_.reserved_peak, usage_.reserved);
  return true;
}

void CachingAllocator::Unreserve(int64_t bytes) { usage_.reserved -= Bytes(bytes); }

int64_t CachingAllocator::ExpandableSize(size_t block) const {
  const size_t next = blocks_[block].next;
  return blocks_[block].size + (next != kNone && blocks_[next].state == State::kUnmapped ? blocks_[next].size : 0);
}

// Best fit. A block that can still grow counts with the size to which it can, so that holes are filled first.
size_t CachingAllocator::FindFree(const PoolKey& key, int64_t size) {
  const std::set<FreeEntry>& free = pools_[key].free;
  auto best = free.lower_bound({size, 0, 0});
  if (best == free.end()) return kNone;
  if (options_.expandable_segments) {
    for (auto next = std::next(best); next != free.end() && ExpandableSize(next->block) < ExpandableSize(best->block); ++next) best = next;
  }
  const int64_t limit = options_.split_size_limit.count();
  if (size < limit && best->size >= limit) return kNone;
  if (size >= limit && best->size >= size + kOversizeSlack) return kNone;
  return best->block;
}

size_t CachingAllocator::NewSegment(const PoolKey& key, int64_t size) {
  const int64_t segment = SegmentSize(size);
  if (!Reserve(segment)) return kNone;
  const size_t block = NewBlock({key, next_address_, segment, kNone, kNone, State::kFree, false});
  next_address_ += segment;
  InsertFree(block);
  return block;
}

// Backs whole pages at the start of an unmapped block and merges them with free neighbours. None when the device is full.
size_t CachingAllocator::Map(size_t block, int64_t size) {
  const PoolKey key = blocks_[block].pool;
  const int64_t bytes = std::min(RoundUp(size, PageSize(key.small)), blocks_[block].size);
  if (!Reserve(bytes)) return kNone;
  pools_[key].unmapped.erase({blocks_[block].address, block});
  if (bytes < blocks_[block].size) {
    const size_t rest = SplitAfter(block, bytes);
    pools_[key].unmapped.insert({blocks_[rest].address, rest});
  }
  MakeFree(block);
  return block;
}

// The first unmapped block that, with the free block before it and the mapped one after it, can hold `size`; a new range where none can.
size_t CachingAllocator::Expand(const PoolKey& key, int64_t size) {
  const auto is_free = [this](size_t block) { return block != kNone && blocks_[block].state == State::kFree; };
  size_t chosen = kNone;
  for (const auto& [address, block] : pools_[key].unmapped) {
    const Block& hole = blocks_[block];
    const int64_t before = is_free(hole.previous) ? blocks_[hole.previous].size : 0;
    const int64_t after = is_free(hole.next) ? blocks_[hole.next].size : 0;
    if (before + hole.size + after < size) continue;
    chosen = block;
    break;
  }
  if (chosen == kNone) {
    chosen = NewBlock({key, next_address_, kAddressRange, kNone, kNone, State::kUnmapped, true});
    next_address_ += kAddressRange;
    pools_[key].unmapped.insert({blocks_[chosen].address, chosen});
  }
  const size_t before = blocks_[chosen].previous;
  return Map(chosen, size - (is_free(before) ? blocks_[before].size : 0));
}

size_t CachingAllocator::Grow(const PoolKey& key, int64_t size) {
  return options_.expandable_segments ? Expand(key, size) : NewSegment(key, size);
}

// Oversize segments of this pool that are free as a whole: the smallest that is large enough, else the largest until enough is back.
bool CachingAllocator::ReleaseOversize(const PoolKey& key, int64_t size) {
  const int64_t limit = options_.split_size_limit.count();
  if (limit == std::numeric_limits<int64_t>::max()) return false;
  const int64_t wanted = std::max(size, limit);
  std::set<FreeEntry>& free = pools_[key].free;
  const auto release = [&](const FreeEntry& entry) {
    Unreserve(entry.size);
    Erase(entry.block);
    free.erase(entry);
  };
  if (const auto enough = free.lower_bound({wanted, 0, 0}); enough != free.end()) {
    release(FreeEntry(*enough));
    return true;
  }
  int64_t released = 0;
  while (released < wanted && !free.empty() && free.rbegin()->size >= limit) {
    const FreeEntry largest = *free.rbegin();
    released += largest.size;
    release(largest);
  }
  return released >= wanted;
}

// Takes the pages that lie whole in a free block of an expandable segment from it.
void CachingAllocator::UnmapPages(size_t block) {
  const PoolKey key = blocks_[block].pool;
  const int64_t page = PageSize(key.small);
  const int64_t from = RoundUp(blocks_[block].address, page);
  const int64_t to = (blocks_[block].address + blocks_[block].size) / page * page;
  if (from >= to) return;
  RemoveFree(block);
  if (from > blocks_[block].address) {
    const size_t middle = SplitAfter(block, from - blocks_[block].address);
    InsertFree(block);
    block = middle;
  }
  if (to < blocks_[block].address + blocks_[block].size) InsertFree(SplitAfter(block, to - from));
  Unreserve(to - from);
  blocks_[block].state = State::kUnmapped;
  const auto is_unmapped = [this](size_t other) { return other != kNone && blocks_[other].state == State::kUnmapped; };
  for (const size_t neighbour : {blocks_[block].previous, blocks_[block].next}) {
    if (!is_unmapped(neighbour)) continue;
    pools_[key].unmapped.erase({blocks_[neighbour].address, neighbour});
    MergeInto(block, neighbour);
  }
  pools_[key].unmapped.insert({blocks_[block].address, block});
}

void CachingAllocator::ReleaseCached() {
  for (auto& [key, pool] : pools_) {
    const std::vector<FreeEntry> free(pool.free.begin(), pool.free.end());
    for (const FreeEntry& entry : free) {
      const Block& block = blocks_[entry.block];
      if (block.expandable) {
        UnmapPages(entry.block);
      } else if (block.previous == kNone && block.next == kNone) {
        Unreserve(entry.size);
        pool.free.erase(entry);
        Erase(entry.block);
      }
    }
  }
}

Result<CachingAllocator::Handle> CachingAllocator::Allocate(Bytes bytes, int64_t stream) {
  HELM_CHECK(bytes.count() > 0, "an allocation has a size");
  const int64_t size = RoundUp(bytes.count(), kBlockSizeLeast);
  const PoolKey key{stream, size <= kSmallSizeMost};
  size_t block = FindFree(key, size);
  if (block == kNone) block = Grow(key, size);
  if (block == kNone) {
    ++usage_.releases;
    if (ReleaseOversize(key, size)) block = Grow(key, size);
  }
  if (block == kNone) {
    ReleaseCached();
    block = Grow(key, size);
  }
  if (block == kNone) {
    return UnavailableError(fmt::format("out of memory: {} bytes asked for, {} allocated, {} reserved of {}", bytes.count(),
                                        usage_.allocated.count(), usage_.reserved.count(), options_.capacity.count()));
  }
  RemoveFree(block);
  const int64_t rest = blocks_[block].size - size;
  const bool fine = key.small || options_.expandable_segments;
  if (fine ? rest >= kBlockSizeLeast : size < options_.split_size_limit.count() && rest > kSmallSizeMost) {
    InsertFree(SplitAfter(block, size));
  }
  blocks_[block].state = State::kUsed;
  usage_.allocated += Bytes(blocks_[block].size);
  usage_.allocated_peak = std::max(usage_.allocated_peak, usage_.allocated);
  return block;
}

void CachingAllocator::MakeFree(size_t block) {
  blocks_[block].state = State::kFree;
  for (const size_t neighbour : {blocks_[block].previous, blocks_[block].next}) {
    if (neighbour == kNone || blocks_[neighbour].state != State::kFree) continue;
    RemoveFree(neighbour);
    MergeInto(block, neighbour);
  }
  InsertFree(block);
}

void CachingAllocator::Free(Handle handle) {
  FreeLater(handle);
  Reclaim(handle);
}

void CachingAllocator::FreeLater(Handle handle) {
  HELM_CHECK(handle < blocks_.size() && blocks_[handle].state == State::kUsed, "only a live allocation can be freed");
  blocks_[handle].state = State::kPending;
  usage_.allocated -= Bytes(blocks_[handle].size);
}

void CachingAllocator::Reclaim(Handle handle) {
  HELM_CHECK(handle < blocks_.size() && blocks_[handle].state == State::kPending, "only a freed allocation can be reclaimed");
  MakeFree(handle);
}

}  // namespace helm::sim
