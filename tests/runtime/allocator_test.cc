#include "runtime/allocator.h"

#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

namespace helm::runtime {
namespace {

TEST(Allocator, CountsTheBytesAskedForAndTheHighest) {
  InstallCountingAllocator();
  const int64_t before = LiveBytes();
  ResetPeakBytes();
  {
    const at::Tensor a = at::empty({1000}, at::kFloat);  // 4000 bytes
    EXPECT_EQ(LiveBytes() - before, 4000);
    {
      const at::Tensor b = at::empty({3}, at::kByte);
      EXPECT_EQ(LiveBytes() - before, 4003);
    }
    EXPECT_EQ(LiveBytes() - before, 4000);
    EXPECT_EQ(PeakBytes() - before, 4003);
    ResetPeakBytes();
    EXPECT_EQ(PeakBytes() - before, 4000);
  }
  EXPECT_EQ(LiveBytes(), before);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(at::empty({5}, at::kByte).const_data_ptr()) % 64, 0u);
}

}  // namespace
}  // namespace helm::runtime
