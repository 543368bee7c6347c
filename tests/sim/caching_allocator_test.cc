#include "sim/caching_allocator.h"

#include <gtest/gtest.h>

#include "core/check.h"

namespace helm::sim {
namespace {

constexpr int64_t kMebibyte = int64_t{1} << 20;

Bytes Mebibytes(int64_t value) { return Bytes(value * kMebibyte); }

CachingAllocator::Handle Take(CachingAllocator& allocator, Bytes size, int64_t stream = 0) {
  const auto handle = allocator.Allocate(size, stream);
  HELM_CHECK(handle.ok(), "the device is large enough");
  return *handle;
}

struct SizeCase {
  int64_t asked;
  int64_t allocated;
  int64_t reserved;
};

// Sizes of the first allocation, techniques.md 11. 1 MiB + 1 rounds to 1 MiB + 512 and is split off a 20 MiB segment. 10 MiB + 1 rounds
// to 10 MiB + 512 in 12 MiB; the rest, 2 MiB - 512, is over 1 MiB and is split off. 11 MiB in 12 MiB leave exactly 1 MiB: not split,
// so all 12 MiB count as allocated.
TEST(CachingAllocator, FirstAllocationOfEachSize) {
  for (const SizeCase& size :
       {SizeCase{1, 512, 2 * kMebibyte}, SizeCase{512, 512, 2 * kMebibyte}, SizeCase{513, 1024, 2 * kMebibyte},
        SizeCase{kMebibyte, kMebibyte, 2 * kMebibyte}, SizeCase{kMebibyte + 1, kMebibyte + 512, 20 * kMebibyte},
        SizeCase{10 * kMebibyte, 10 * kMebibyte, 10 * kMebibyte}, SizeCase{10 * kMebibyte + 1, 10 * kMebibyte + 512, 12 * kMebibyte},
        SizeCase{11 * kMebibyte, 12 * kMebibyte, 12 * kMebibyte}}) {
    CachingAllocator allocator;
    Take(allocator, Bytes(size.asked));
    EXPECT_EQ(allocator.usage().allocated.count(), size.allocated) << size.asked;
    EXPECT_EQ(allocator.usage().reserved.count(), size.reserved) << size.asked;
  }
}

// Three times 6 MiB from one 20 MiB segment (2 MiB left). Freeing the first and third leaves 6 and 6 + 2 MiB: 7 MiB fit only in the
// latter. Freeing the middle one joins 6 + 6 MiB: 12 MiB fit without a new segment.
TEST(CachingAllocator, FreeNeighboursMerge) {
  CachingAllocator allocator;
  const auto first = Take(allocator, Mebibytes(6));
  const auto second = Take(allocator, Mebibytes(6));
  const auto third = Take(allocator, Mebibytes(6));
  allocator.Free(first);
  allocator.Free(third);
  Take(allocator, Mebibytes(7));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(20));
  allocator.Free(second);
  Take(allocator, Mebibytes(12));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(20));
  // 7 + 12 MiB, and the 1 MiB that is left behind the 7 stays with them: not over 1 MiB.
  EXPECT_EQ(allocator.usage().allocated, Mebibytes(20));
}

// Free 30 and 20 MiB segments: 12 MiB take the smaller one, so that 30 MiB still fit.
TEST(CachingAllocator, SmallestBlockThatFitsIsTaken) {
  CachingAllocator allocator;
  const auto large = Take(allocator, Mebibytes(30));
  const auto small = Take(allocator, Mebibytes(20));
  allocator.Free(large);
  allocator.Free(small);
  Take(allocator, Mebibytes(12));
  Take(allocator, Mebibytes(30));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(50));
}

TEST(CachingAllocator, StreamsShareNoMemory) {
  CachingAllocator allocator;
  allocator.Free(Take(allocator, Mebibytes(30), 0));
  Take(allocator, Mebibytes(30), 1);
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(60));
}

// Small requests never come from large segments.
TEST(CachingAllocator, PoolsShareNoMemory) {
  CachingAllocator allocator;
  allocator.Free(Take(allocator, Mebibytes(30)));
  Take(allocator, Mebibytes(1));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(32));
}

TEST(CachingAllocator, MemoryInUseElsewhereIsNotTaken) {
  CachingAllocator allocator;
  const auto gathered = Take(allocator, Mebibytes(30));
  allocator.FreeLater(gathered);
  EXPECT_EQ(allocator.usage().allocated, Bytes(0));
  allocator.Free(Take(allocator, Mebibytes(30)));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(60));
  allocator.Reclaim(gathered);
  Take(allocator, Mebibytes(30));
  Take(allocator, Mebibytes(30));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(60));
}

// 100 MiB of device. 60 MiB free but cached; 80 MiB fit only after they have been given back. 30 more never fit.
TEST(CachingAllocator, CachedSegmentsAreGivenBackWhenTheDeviceIsFull) {
  CachingAllocator allocator({.capacity = Mebibytes(100)});
  allocator.Free(Take(allocator, Mebibytes(60)));
  Take(allocator, Mebibytes(80));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(80));
  EXPECT_EQ(allocator.usage().releases, 1);
  const auto more = allocator.Allocate(Mebibytes(30));
  EXPECT_EQ(more.status().message(), "out of memory: 31457280 bytes asked for, 83886080 allocated, 83886080 reserved of 104857600");
}

// A segment of which a part is in use stays: 20 of 60 MiB in use, 60 + 50 > 100.
TEST(CachingAllocator, SplitSegmentsStayReserved) {
  CachingAllocator allocator({.capacity = Mebibytes(100)});
  allocator.Free(Take(allocator, Mebibytes(60)));
  Take(allocator, Mebibytes(20));
  EXPECT_FALSE(allocator.Allocate(Mebibytes(50)).ok());
}

// Split limit 40 MiB: the free 60 MiB segment serves neither 20 MiB (below the limit) nor 40 MiB (20 MiB too large), but 50 MiB whole.
TEST(CachingAllocator, BlocksOverTheSplitLimitStayWhole) {
  CachingAllocator allocator({.split_size_limit = Mebibytes(40)});
  allocator.Free(Take(allocator, Mebibytes(60)));
  Take(allocator, Mebibytes(20));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(80));
  Take(allocator, Mebibytes(40));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(120));
  Take(allocator, Mebibytes(50));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(120));
  EXPECT_EQ(allocator.usage().allocated, Mebibytes(120));
}

// Pages of 20 MiB. 30 MiB map 40; 35 MiB go on from the 10 that are left: 25 more in 40. All freed: 80 in one block, so 80 MiB fit;
// with segments of their own they would have taken 30 + 36 + 80.
TEST(CachingAllocator, ExpandableSegmentsGrow) {
  CachingAllocator allocator({.expandable_segments = true});
  const auto first = Take(allocator, Mebibytes(30));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(40));
  const auto second = Take(allocator, Mebibytes(35));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(80));
  EXPECT_EQ(allocator.usage().allocated, Mebibytes(65));
  allocator.Free(first);
  allocator.Free(second);
  Take(allocator, Mebibytes(80));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(80));
}

// 100 MiB of device, 30 + 60 MiB mapped as 40 + 60 = 100. After the first is freed its whole page, [0, 20) MiB, goes back: 80 are left,
// and 20 MiB on another stream fit.
TEST(CachingAllocator, ExpandableSegmentsGiveBackWholePages) {
  CachingAllocator allocator({.capacity = Mebibytes(100), .expandable_segments = true});
  const auto first = Take(allocator, Mebibytes(30));
  Take(allocator, Mebibytes(60));
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(100));
  allocator.Free(first);
  Take(allocator, Mebibytes(20), 1);
  EXPECT_EQ(allocator.usage().reserved, Mebibytes(100));
  EXPECT_EQ(allocator.usage().allocated, Mebibytes(80));
}

}  // namespace
}  // namespace helm::sim
