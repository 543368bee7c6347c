#include "cost/fitted_constants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cost/attention_model.h"

namespace helm::cost {
namespace {

TEST(FittedConstants, AreReplacedByName) {
  FittedConstants constants;
  EXPECT_TRUE(SetFittedConstant("python_kernel_us", 30, constants).ok());
  EXPECT_TRUE(SetFittedConstant("attention_level", 0, constants).ok());
  EXPECT_TRUE(SetFittedConstant("sum_exposed", 0, constants).ok());
  EXPECT_EQ(constants.python_kernel_us, 30);
  EXPECT_EQ(constants.sum_exposed, 0);
  EXPECT_EQ(constants.attention_level, 0);
  EXPECT_EQ(constants.clock, 1);
}

TEST(FittedConstants, RefusesWhatDoesNotExistOrCannotBe) {
  FittedConstants constants;
  EXPECT_THAT(SetFittedConstant("cloc", 1, constants).message(), testing::HasSubstr("allowed: python_kernel_us, attention_backward"));
  EXPECT_THAT(SetFittedConstant("clock", 0, constants).message(), testing::HasSubstr("allowed: a number above 0"));
  EXPECT_EQ(constants, FittedConstants{});
}

// Seconds of an op less 2 us to launch go with 1 / efficiency: half the backward efficiency takes twice as long. The table of the A100 has
// a level of 1.14, so without it forward takes 1.14 times as long.
TEST(FittedConstants, ScaleTheKernelsOfAttention) {
  const KernelTable* table = AttentionTableFor("a100-sxm-80gb", "ampere");
  ASSERT_NE(table, nullptr);
  cluster::Device device;
  device.name = "a100-sxm-80gb";
  device.peak["bf16"] = FlopsPerSecond::Of(312e12);
  AttentionShape shape{1, 16, 16, 4096, 4096, 128, 128};
  const auto work = [&](const FittedConstants& constants) { return *AttentionModel(*table, device, constants).Seconds(shape) - 2e-6; };
  EXPECT_NEAR(work({.attention_level = 0}) / work({}), 1.14, 1e-9);
  shape.backward = true;
  EXPECT_NEAR(work({.attention_backward = 0.41}) / work({}), 2, 1e-9);
}

}  // namespace
}  // namespace helm::cost
