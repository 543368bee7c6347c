// HugeHeap by itself: also built without torch, for the sanitizers (tests/CMakeLists.txt).
#include "runtime/huge_heap.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace helm::runtime {
namespace {

constexpr size_t kThreads = 4;
constexpr size_t kRounds = 200;

// What one thread frees, as communication threads do with tensors of the compute thread, another gets; nobody's memory is written to by
// two.
TEST(HugeHeap, ThreadsShareIt) {
  HugeHeap heap;
  std::mutex mutex;
  std::vector<std::byte*> handed_on(8);  // fewer than rounds: a thread gets what another one left
  size_t wrong = 0;
  const auto work = [&](size_t thread) {
    const auto mark = static_cast<std::byte>(thread + 1);
    size_t differs = 0;
    for (size_t round = 0; round < kRounds; ++round) {
      const size_t bytes = 64 * (1 + (round * 7 + thread) % 50);
      auto* const data = static_cast<std::byte*>(heap.Allocate(bytes));
      if (data == nullptr) continue;
      std::fill(data, data + bytes, mark);
      std::this_thread::yield();
      differs += static_cast<size_t>(std::count_if(data, data + bytes, [&](std::byte value) { return value != mark; }));
      std::byte* other = data;
      {
        const std::lock_guard<std::mutex> lock(mutex);
        std::swap(other, handed_on[(round + thread) % handed_on.size()]);
      }
      if (other != nullptr) heap.Free(other);
    }
    const std::lock_guard<std::mutex> lock(mutex);
    wrong += differs;
  };
  {
    std::vector<std::jthread> threads;
    for (size_t thread = 0; thread < kThreads; ++thread) threads.emplace_back(work, thread);
  }
  EXPECT_EQ(wrong, 0U);
  for (std::byte* const data : handed_on) {
    if (data != nullptr) heap.Free(data);
  }
}

}  // namespace
}  // namespace helm::runtime
