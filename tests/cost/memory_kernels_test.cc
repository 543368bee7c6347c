#include "cost/memory_kernels.h"

#include <gtest/gtest.h>

namespace helm::cost {
namespace {

constexpr double kGap = 1.4e-6;

ir::OpSignature Op(const std::string& key) { return ir::ParseOpSignature(key).value(); }

cluster::Device DeviceOf(double gbytes_per_s, int64_t multiprocessors, double clock_mhz) {
  cluster::Device device;
  device.name = "g";
  device.memory_bandwidth = BytesPerSecond::Gigabytes(gbytes_per_s);
  device.multiprocessors = multiprocessors;
  device.clock_mhz = clock_mhz;
  return device;
}

Measurement Kernel(double microseconds) {
  Measurement row;
  row.kernels = {{"k", 1, Duration::Microseconds(microseconds)}};
  return row;
}

// On a device of 1000 GB/s, 100 multiprocessors and 1000 MHz. exp of f32 moves 8 bytes an element: 100 MB in 125 us (0.8 of the bandwidth),
// 400 MB in 400 us (all of it). silu: 200 MB in 800 us, a quarter. neg was measured on 800 bytes only.
MemoryKernels Kernels() {
  CostTable table;
  table.device = {"cuda", "measured", 1, 1};
  table.ops = {{"aten.exp(f32[12500000])", Kernel(125)},       {"aten.exp(f32[50000000])", Kernel(400)},
               {"aten.silu(f32[25000000])", Kernel(800)},      {"aten.neg(f32[100])", Kernel(1)},
               {"aten.mm(f32[64,64], f32[64,64])", Kernel(5)},  // a product: left out
               {"aten.cos(f32[100])", Measurement()}};          // nothing said of its kernels: left out
  return MemoryKernels::Create(table, DeviceOf(1000, 100, 1000)).value();
}

double SecondsOf(const std::string& key, const cluster::Device& device) {
  const ir::OpSignature op = Op(key);
  const auto seconds = Kernels().Seconds(op, TrafficOf(op), device);
  EXPECT_TRUE(seconds.has_value()) << key;
  return seconds.value_or(0) - kGap;
}

TEST(MemoryKernels, MeasuredSizesTakeWhatWasMeasured) {
  const cluster::Device same = DeviceOf(1000, 100, 1000);
  EXPECT_NEAR(SecondsOf("aten.exp(f32[12500000])", same), 125e-6, 1e-10);
  EXPECT_NEAR(SecondsOf("aten.exp(f32[50000000])", same), 400e-6, 1e-10);
  // Halfway in the logarithms, 200 MB: the geometric mean of 125 and 400 us.
  EXPECT_NEAR(SecondsOf("aten.exp(f32[25000000])", same), 223.607e-6, 1e-9);
  EXPECT_NEAR(SecondsOf("aten.exp(f32[100000000])", same), 800e-6, 1e-10);  // beyond: in proportion
  EXPECT_NEAR(SecondsOf("aten.exp(f32[1250000])", same), 12.5e-6, 1e-10);
  EXPECT_NEAR(SecondsOf("aten.exp(f32[10])", same), 0.7e-6, 1e-12);  // no kernel is shorter
}

// Twice the bandwidth, the same multiprocessors: what memory limits halves, what multiprocessors limit stays.
TEST(MemoryKernels, CarryOverWhatLimitsThem) {
  const cluster::Device wider = DeviceOf(2000, 100, 1000);
  EXPECT_NEAR(SecondsOf("aten.exp(f32[50000000])", wider), 200e-6, 1e-10);
  EXPECT_NEAR(SecondsOf("aten.silu(f32[25000000])", wider), 800e-6, 1e-10);
  const cluster::Device faster = DeviceOf(1000, 200, 1000);
  EXPECT_NEAR(SecondsOf("aten.exp(f32[50000000])", faster), 400e-6, 1e-10);
  EXPECT_NEAR(SecondsOf("aten.silu(f32[25000000])", faster), 400e-6, 1e-10);
  // Eight times the multiprocessors: the memory limits it now, at 0.91 of its bandwidth: 200 MB / 910 GB/s.
  EXPECT_NEAR(SecondsOf("aten.silu(f32[25000000])", DeviceOf(1000, 800, 1000)), 200e6 / 910e9, 1e-10);
}

TEST(MemoryKernels, SayNothingOfWhatTheyDoNotKnow) {
  const cluster::Device device = DeviceOf(1000, 100, 1000);
  const auto knows = [&](const std::string& key) { return Kernels().Seconds(Op(key), TrafficOf(Op(key)), device).has_value(); };
  EXPECT_TRUE(knows("aten.exp(f32[5,5])"));  // the same target and types, another structure
  EXPECT_FALSE(knows("aten.exp(bf16[100])"));
  EXPECT_FALSE(knows("aten.sin(f32[100])"));
  EXPECT_FALSE(knows("aten.cos(f32[100])"));
  EXPECT_FALSE(knows("aten.mm(f32[64,64], f32[64,64])"));
  EXPECT_TRUE(knows("aten.neg(f32[400])"));
  EXPECT_FALSE(knows("aten.neg(f32[1000000])"));  // 800 bytes say nothing of the rate of megabytes
  EXPECT_FALSE(Kernels().Seconds(Op("aten.exp(f32[100])"), TrafficOf(Op("aten.exp(f32[100])")), cluster::Device()).has_value());
}

// The table that is compiled in, against itself: every row is priced near the sum of its kernels.
TEST(MemoryKernels, BuiltInPricesItsOwnRows) {
  const MemoryKernels& kernels = MemoryKernels::BuiltIn();
  EXPECT_EQ(kernels.device(), "h200-sxm-141gb");
  cluster::Device h200 = DeviceOf(4800, 132, 1830);
  // traces/h200-sxm-141gb/ops.json: exp_ of f32[8192,128256], two kernels, 991.74 and 991.80 us.
  const ir::OpSignature exp = Op("aten.exp_(f32[8192,128256])");
  EXPECT_NEAR(*kernels.Seconds(exp, TrafficOf(exp), h200), 1983.54e-6 + kGap, 2e-6);
}

}  // namespace
}  // namespace helm::cost
