#include "runtime/allocator.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <limits>

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

namespace helm::runtime {
namespace {

constexpr size_t kAlignment = 64;  // c10's own, for vector loads; the size of a block is kept in the 64 bytes before it

struct Counts {
  std::atomic<int64_t> live{0};
  std::atomic<int64_t> peak{0};
};

Counts& ProcessCounts() {
  static Counts counts;
  return counts;
}

void CountAllocation(int64_t bytes) {
  Counts& counts = ProcessCounts();
  const int64_t live = counts.live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t peak = counts.peak.load(std::memory_order_relaxed);
  while (live > peak && !counts.peak.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
  }
}

void Free(void* data) {
  if (data == nullptr) return;
  void* block = static_cast<char*>(data) - kAlignment;
  int64_t bytes = 0;
  std::memcpy(&bytes, block, sizeof bytes);
  ProcessCounts().live.fetch_sub(bytes, std::memory_order_relaxed);
  std::free(block);
}

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &Free, c10::Device(c10::DeviceType::CPU)};
    void* block = nullptr;
    const int error = posix_memalign(&block, kAlignment, bytes + kAlignment);
    TORCH_CHECK_WITH(OutOfMemoryError, error == 0, "out of memory: cannot allocate ", bytes, " bytes on the CPU");
    const auto count = static_cast<int64_t>(bytes);
    std::memcpy(block, &count, sizeof count);
    CountAllocation(count);
    void* data = static_cast<char*>(block) + kAlignment;
    return {data, data, &Free, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};

// glibc gives large blocks straight to mmap and back, and returns the top of the heap to the system: each step would pay for the same page
// faults again. mallopt(3): no mmap, no trimming, one arena so that memory freed by another thread is found again.
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

int64_t LiveBytes() { return ProcessCounts().live.load(std::memory_order_relaxed); }
int64_t PeakBytes() { return ProcessCounts().peak.load(std::memory_order_relaxed); }
void ResetPeakBytes() { ProcessCounts().peak.store(LiveBytes(), std::memory_order_relaxed); }

}  // namespace helm::runtime
