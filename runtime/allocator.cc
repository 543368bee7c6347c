#include "runtime/allocator.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <limits>

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include "runtime/huge_heap.h"

namespace helm::runtime {
namespace {

constexpr size_t kAlignment = 64;            // c10's own, for vector loads; the size of a block is kept in the 64 bytes before it
constexpr size_t kHugeHeapLeast = 64 << 10;  // smaller tensors come from malloc

// What the process has; there is one CPU allocator in c10, so there is one of this.
struct State {
  std::atomic<int64_t> live{0};
  std::atomic<int64_t> peak{0};
  HugeHeap heap;
};

State& ProcessState() {
  static State* state = new State;  // never destroyed: tensors may be freed by other static objects
  return *state;
}

void CountAllocation(State& state, int64_t bytes) {
  const int64_t live = state.live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t peak = state.peak.load(std::memory_order_relaxed);
  while (live > peak && !state.peak.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
  }
}

void Free(void* data) {
  if (data == nullptr) return;
  void* block = static_cast<char*>(data) - kAlignment;
  int64_t bytes = 0;
  std::memcpy(&bytes, block, sizeof bytes);
  State& state = ProcessState();
  state.live.fetch_sub(bytes, std::memory_order_relaxed);
  if (state.heap.Owns(block))
    state.heap.Free(block);
  else
    std::free(block);
}

void* AllocateBlock(State& state, size_t bytes) {
  if (bytes >= kHugeHeapLeast) {
    if (void* block = state.heap.Allocate(bytes)) return block;
  }
  void* block = nullptr;
  return posix_memalign(&block, kAlignment, bytes) == 0 ? block : nullptr;
}

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &Free, c10::Device(c10::DeviceType::CPU)};
    State& state = ProcessState();
    void* block = AllocateBlock(state, bytes + kAlignment);
    TORCH_CHECK_WITH(OutOfMemoryError, block != nullptr, "out of memory: cannot allocate ", bytes, " bytes on the CPU");
    const auto count = static_cast<int64_t>(bytes);
    std::memcpy(block, &count, sizeof count);
    CountAllocation(state, count);
    void* data = static_cast<char*>(block) + kAlignment;
    return {data, data, &Free, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};

// What operators allocate inside without c10 (oneDNN, MKL). glibc gives large blocks straight to mmap and back, and returns the top of the
// heap to the system: each step would pay for the same page faults again. mallopt(3): no mmap, no trimming, one arena.
void KeepFreedMemory() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
  mallopt(M_ARENA_MAX, 1);
}

}  // namespace

void InstallCountingAllocator() {
  [[maybe_unused]] static const bool installed = [] {
    KeepFreedMemory();
    static CountingAllocator allocator;
    c10::SetCPUAllocator(&allocator, /*priority=*/1);
    return true;
  }();
}

int64_t LiveBytes() { return ProcessState().live.load(std::memory_order_relaxed); }
int64_t PeakBytes() { return ProcessState().peak.load(std::memory_order_relaxed); }
void ResetPeakBytes() { ProcessState().peak.store(LiveBytes(), std::memory_order_relaxed); }

}  // namespace helm::runtime
