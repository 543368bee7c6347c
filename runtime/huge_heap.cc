#include "runtime/huge_heap.h"

#include <sys/mman.h>
#include <unistd.h>

namespace helm::runtime {
namespace {

constexpr size_t kUnit = 64;                   // sizes and addresses are multiples: a cache line
constexpr size_t kHugePage = size_t{2} << 20;  // x86-64 and aarch64 with 4 KiB pages

size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

struct alignas(kUnit) HugeHeap::Block {
  size_t size = 0;  // with this header
  Block* previous = nullptr;
  bool is_free = false;
};

HugeHeap::HugeHeap() {
  const size_t size = RoundUp(static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE)), kHugePage);
  void* range = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return;
  begin_ = reinterpret_cast<std::byte*>(RoundUp(reinterpret_cast<uintptr_t>(range), kHugePage));
  top_ = begin_;
  end_ = begin_ + size;
  madvise(begin_, size, MADV_HUGEPAGE);  // where the system has none, ordinary pages serve
}

void* HugeHeap::Allocate(size_t bytes) {
  static_assert(sizeof(Block) == kUnit);
  const size_t size = RoundUp(bytes, kUnit) + sizeof(Block);
  const std::lock_guard lock(mutex_);
  Block* block = TakeFree(size);
  if (block == nullptr) block = Grow(size);
  if (block == nullptr) return nullptr;
  Split(block, size);
  return block + 1;
}

void HugeHeap::Free(void* data) {
  const std::lock_guard lock(mutex_);
  Block* block = static_cast<Block*>(data) - 1;
  if (Block* next = Next(block); next != nullptr && next->is_free) {
    Remove(next);
    block->size += next->size;
    if (last_ == next) last_ = block;
  }
  if (Block* previous = block->previous; previous != nullptr && previous->is_free) {
    Remove(previous);
    previous->size += block->size;
    if (last_ == block) last_ = previous;
    block = previous;
  }
  if (Block* next = Next(block); next != nullptr) next->previous = block;
  Insert(block);
}

HugeHeap::Block* HugeHeap::TakeFree(size_t size) {
  const auto found = free_.lower_bound({size, nullptr});
  if (found == free_.end()) return nullptr;
  Block* block = found->second;
  Remove(block);
  return block;
}

// A new block at the top, or the last one made larger when it is free.
HugeHeap::Block* HugeHeap::Grow(size_t size) {
  Block* block = last_ != nullptr && last_->is_free ? last_ : nullptr;
  const size_t missing = size - (block == nullptr ? 0 : block->size);
  if (missing > static_cast<size_t>(end_ - top_)) return nullptr;
  if (block != nullptr) {
    Remove(block);
    block->size = size;
  } else {
    block = new (top_) Block{size, last_, false};
    last_ = block;
  }
  top_ += missing;
  return block;
}

// Gives back what is beyond `size`.
void HugeHeap::Split(Block* block, size_t size) {
  const size_t rest = block->size - size;
  if (rest < 2 * kUnit) return;
  block->size = size;
  auto* remainder = new (reinterpret_cast<std::byte*>(block) + size) Block{rest, block, false};
  if (last_ == block)
    last_ = remainder;
  else
    Next(remainder)->previous = remainder;
  Insert(remainder);
}

HugeHeap::Block* HugeHeap::Next(Block* block) const {
  return block == last_ ? nullptr : reinterpret_cast<Block*>(reinterpret_cast<std::byte*>(block) + block->size);
}

void HugeHeap::Insert(Block* block) {
  block->is_free = true;
  free_.insert({block->size, block});
}

void HugeHeap::Remove(Block* block) {
  block->is_free = false;
  free_.erase({block->size, block});
}

}  // namespace helm::runtime
