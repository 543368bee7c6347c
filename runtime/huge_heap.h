// HugeHeap: memory for tensors on huge pages, never given back. Best fit, neighbours merged.
//
// A step reads hundreds of megabytes; on 4 KiB pages the address translations alone cost memory-bound operators a third of their time and
// make them depend on what ran before. One address range as large as the machine's memory is reserved at once (it costs nothing until it is
// touched) and marked for huge pages; the heap grows within it. Not for small objects: those are malloc's. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <utility>

namespace helm::runtime {

class HugeHeap {
 public:
  HugeHeap();
  HugeHeap(const HugeHeap&) = delete;
  HugeHeap& operator=(const HugeHeap&) = delete;

  // Aligned to 64 bytes; null when the range is used up or could not be reserved.
  void* Allocate(size_t bytes);
  void Free(void* data);
  bool Owns(const void* data) const {
    const auto* at = static_cast<const std::byte*>(data);
    return at >= begin_ && at < end_;
  }

 private:
  struct Block;  // lies before the data it describes
  Block* TakeFree(size_t size);
  Block* Grow(size_t size);
  void Split(Block* block, size_t size);
  Block* Next(Block* block) const;
  void Insert(Block* block);
  void Remove(Block* block);

  std::mutex mutex_;
  std::byte* begin_ = nullptr;
  std::byte* top_ = nullptr;  // end of the last block
  std::byte* end_ = nullptr;  // end of the reserved range
  Block* last_ = nullptr;
  std::set<std::pair<size_t, Block*>> free_;  // smallest first, then lowest address
};

}  // namespace helm::runtime
