// CachingAllocator: PyTorch's CUDA caching allocator, block by block: what is allocated and what it has reserved from the device. No
// memory is touched. It is not a model of fragmentation: given the same calls it takes the same decisions.
//
// Source of all rules and sizes: c10/cuda/CUDACachingAllocator.cpp, as described in techniques.md 9.1. One thing cannot be known: the
// addresses that the driver gives. They are taken to rise with every segment; they only decide between free blocks of equal size.
// Invariants: allocated <= reserved; the blocks of a segment tile it; two free mapped blocks of a segment never touch.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "core/status.h"
#include "core/units.h"

namespace helm::sim {

struct CachingAllocatorOptions {
  Bytes capacity{std::numeric_limits<int64_t>::max()};          // what the device can give
  Bytes split_size_limit{std::numeric_limits<int64_t>::max()};  // max_split_size_mb: larger blocks are never split
  bool expandable_segments = false;
};

struct AllocatorUsage {
  Bytes allocated;  // blocks in use, with the remainders too small to be split off
  Bytes allocated_peak;
  Bytes reserved;  // taken from the device
  Bytes reserved_peak;
  int64_t releases = 0;  // how often memory was given back to the device to make an allocation fit: each synchronises the device
  bool operator==(const AllocatorUsage&) const = default;
};

class CachingAllocator {
 public:
  using Handle = size_t;  // of a live allocation; reused after it has been freed

  explicit CachingAllocator(CachingAllocatorOptions options = {}) : options_(options) {}

  // Memory for use on `stream`. Fails when the device has no more, even after everything cached has been given back.
  // REQUIRES: size > 0.
  Result<Handle> Allocate(Bytes size, int64_t stream = 0);
  // The memory may be taken again at once on its own stream. REQUIRES: a live handle.
  void Free(Handle handle);
  // As Free, but another stream still uses the memory (record_stream): it counts as free, yet can be taken only after Reclaim.
  void FreeLater(Handle handle);
  void Reclaim(Handle handle);  // REQUIRES: FreeLater was called

  // Gives whole free segments (and whole free pages of expandable ones) back to the device: torch.cuda.empty_cache().
  void ReleaseCached();

  const AllocatorUsage& usage() const { return usage_; }

 private:
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();
  struct PoolKey {
    int64_t stream = 0;
    bool small = false;
    auto operator<=>(const PoolKey&) const = default;
  };
  enum class State : uint8_t { kFree, kUsed, kPending, kUnmapped };
  struct Block {
    PoolKey pool;
    int64_t address = 0;
    int64_t size = 0;
    size_t previous = kNone;  // neighbours in the segment
    size_t next = kNone;
    State state = State::kFree;
    bool expandable = false;
  };
  struct FreeEntry {
    int64_t size = 0;
    int64_t address = 0;
    size_t block = kNone;
    auto operator<=>(const FreeEntry&) const = default;
  };
  struct Pool {
    std::set<FreeEntry> free;
    std::set<std::pair<int64_t, size_t>> unmapped;  // by address: parts of expandable segments without memory
  };

  size_t NewBlock(const Block& block);
  void Erase(size_t block);
  void InsertFree(size_t block);
  void RemoveFree(size_t block);
  size_t SplitAfter(size_t block, int64_t size);  // the rest, with the same state
  void MergeInto(size_t block, size_t neighbour);
  size_t FindFree(const PoolKey& key, int64_t size);
  size_t NewSegment(const PoolKey& key, int64_t size);
  size_t Expand(const PoolKey& key, int64_t size);
  size_t Map(size_t block, int64_t size);
  size_t Grow(const PoolKey& key, int64_t size);
  bool ReleaseOversize(const PoolKey& key, int64_t size);
  void UnmapPages(size_t block);
  void MakeFree(size_t block);
  bool Reserve(int64_t bytes);
  void Unreserve(int64_t bytes);
  int64_t ExpandableSize(size_t block) const;

  CachingAllocatorOptions options_;
  AllocatorUsage usage_;
  std::vector<Block> blocks_;
  std::vector<size_t> unused_;  // entries of blocks_
  std::map<PoolKey, Pool> pools_;
  int64_t next_address_ = 0;
};

}  // namespace helm::sim
