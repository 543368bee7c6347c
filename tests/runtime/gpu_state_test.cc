#include "runtime/gpu_state.h"

#include <gtest/gtest.h>

namespace helm::runtime {
namespace {

// Of the data sheets: A100 12 links of version 3.0 (NVML 4) 300 GB/s, H100 18 of 4.0 (6) 450, B200 18 of 5.0 (7) 900.
TEST(GpuLinks, NvlinkBandwidthsAreThoseOfTheDataSheets) {
  EXPECT_DOUBLE_EQ(12 * NvlinkBandwidth(4).gigabytes(), 300);
  EXPECT_DOUBLE_EQ(18 * NvlinkBandwidth(6).gigabytes(), 450);
  EXPECT_DOUBLE_EQ(18 * NvlinkBandwidth(7).gigabytes(), 900);
  EXPECT_EQ(NvlinkBandwidth(99).gigabytes(), 0);
}

// PCI-SIG: x16 of generation 3, 4, 5: 15.75, 31.5 and 63 GB/s; of generation 1, 4.
TEST(GpuLinks, PcieBandwidthsAreThoseOfTheStandard) {
  EXPECT_DOUBLE_EQ(PcieBandwidth(1, 16).gigabytes(), 4);
  EXPECT_NEAR(PcieBandwidth(3, 16).gigabytes(), 15.75, 0.01);
  EXPECT_NEAR(PcieBandwidth(4, 16).gigabytes(), 31.51, 0.01);
  EXPECT_NEAR(PcieBandwidth(5, 16).gigabytes(), 63.02, 0.01);
  EXPECT_EQ(PcieBandwidth(9, 16).gigabytes(), 0);
}

TEST(GpuState, OfNoGpuIsNone) { EXPECT_FALSE(ReadGpuState("no such bus").has_value()); }

}  // namespace
}  // namespace helm::runtime
