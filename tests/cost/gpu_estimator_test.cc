#include "cost/gpu_estimator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <string>
#include <tuple>
#include <utility>

#include "cost/memory_model.h"

namespace helm::cost {
namespace {

using testing::HasSubstr;

cluster::Device A100() {
  cluster::Device device;
  device.name = "a100-sxm-80gb";
  device.architecture = "ampere";
  device.peak = {{"f32", FlopsPerSecond::Tera(19.5)}, {"bf16", FlopsPerSecond::Tera(312)}, {"f16", FlopsPerSecond::Tera(312)}};
  device.memory_bandwidth = BytesPerSecond::Gigabytes(2039);
  device.multiprocessors = 108;
  return device;
}

ir::OpSignature Op(const std::string& key) { return *ir::ParseOpSignature(key); }

Estimate EstimateOf(const cluster::Device& device, const std::string& key) {
  const auto estimate = GpuEstimator(device).EstimateOp(Op(key));
  HELM_CHECK(estimate.ok(), estimate.status().message().c_str());
  return *estimate;
}

TEST(ProductShapeOf, ReadsSizesBatchAndAddend) {
  const auto plain = ProductShapeOf(Op("aten.mm(bf16[64,128], bf16[128,256])"));
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->m, 64);
  EXPECT_EQ(plain->n, 256);
  EXPECT_EQ(plain->k, 128);
  EXPECT_EQ(plain->alignment_bytes, 16);
  const auto batched = ProductShapeOf(Op("aten.bmm(f16[12,64,150], f16[12,150,64])"));
  ASSERT_TRUE(batched.has_value());
  EXPECT_EQ(batched->batch, 12);
  EXPECT_EQ(batched->dtype, "f16");
  EXPECT_EQ(batched->alignment_bytes, 4);  // rows of 150 elements are 300 bytes, which 4 divides, but not 8
  // An fp32 sum over micro-batches: the addend is read and written in fp32 (2 * 64 * 256 * 4), not written in bf16 (64 * 256 * 2).
  const auto added = ProductShapeOf(Op("aten.addmm_(f32[64,256], bf16[64,128], bf16[128,256])"));
  ASSERT_TRUE(added.has_value());
  EXPECT_DOUBLE_EQ(added->extra_bytes_written, 2 * 65536 - 32768);
  EXPECT_TRUE(added->adds);
  EXPECT_FALSE(ProductShapeOf(Op("aten.neg(f32[64])")).has_value());
}

// Attention's scores: sequences x heads products; a key that two heads share is broadcast.
TEST(ProductShapeOf, ReadsBatchedProducts) {
  const auto scores = ProductShapeOf(Op("aten.matmul(bf16[2,12,64,128], bf16[2,12,128,64]{98304,8192,1,128})"));
  ASSERT_TRUE(scores.has_value());
  EXPECT_EQ(std::tuple(scores->batch, scores->m, scores->n, scores->k), std::tuple(24, 64, 64, 128));
  const auto shared = ProductShapeOf(Op("aten.matmul(bf16[2,6,2,64,128], bf16[2,6,1,128,64])"));
  ASSERT_TRUE(shared.has_value());
  EXPECT_EQ(std::tuple(shared->batch, shared->m, shared->n, shared->k), std::tuple(24, 64, 64, 128));
}

TEST(GpuEstimator, MakingRoomTakesNoKernel) {
  EXPECT_EQ(EstimateOf(A100(), "aten.new_empty(bf16[4096,4096], [4096,4096], bf16)").duration, Duration());
}

// 8192 rows over 8 experts; their weight gradients; operands of one byte are fp8.
TEST(ProductShapeOf, ReadsGroupsAndFp8) {
  const auto forward = ProductShapeOf(Op("aten._grouped_mm(bf16[8192,512], bf16[8,512,256], i32[8])"));
  ASSERT_TRUE(forward.has_value());
  EXPECT_EQ(std::tuple(forward->batch, forward->m, forward->n, forward->k), std::tuple(8, 1024, 256, 512));
  const auto gradient = ProductShapeOf(Op("aten._grouped_mm(bf16[512,8192], bf16[8192,256], i32[8])"));
  ASSERT_TRUE(gradient.has_value());
  EXPECT_EQ(std::tuple(gradient->batch, gradient->m, gradient->n, gradient->k), std::tuple(8, 512, 256, 1024));
  EXPECT_EQ(ProductShapeOf(Op("aten._scaled_mm(u8[64,128], u8[128,64], f32[], f32[])"))->dtype, "fp8");
  // Its product of 64 x 32 is in bf16: a byte more an element than the operands' type.
  const auto wide = ProductShapeOf(Op("aten._scaled_mm(f8e5m2[64,128], f8e4m3[128,32]{1,128}, f32[1], f32[1], none, none, bf16, false)"));
  ASSERT_TRUE(wide.has_value());
  EXPECT_EQ(wide->dtype, "fp8");
  EXPECT_EQ(wide->extra_bytes_written, 64 * 32);
  EXPECT_FALSE(wide->adds);
}

// 4096^3 takes 539.5 us in the table of this device (traces/kernels/a100-sxm-80gb.json); fp16 is priced like bf16.
TEST(GpuEstimator, PricesProductsFromTheTable) {
  const Estimate estimate = EstimateOf(A100(), "aten.mm(bf16[4096,4096], bf16[4096,4096])");
  EXPECT_EQ(estimate.source, Source::kInterpolated);
  EXPECT_NEAR(estimate.duration.microseconds(), 539.5, 0.5);
  EXPECT_EQ(EstimateOf(A100(), "aten.mm(f16[4096,4096], f16[4096,4096])").duration, estimate.duration);
}

// fp32 at 19.5 TFLOP/s: sixteen times as long, as far as FLOPs bound it.
TEST(GpuEstimator, ScalesByThePeakOfTheElementType) {
  const double bf16 = EstimateOf(A100(), "aten.mm(bf16[4096,4096], bf16[4096,4096])").duration.microseconds();
  EXPECT_NEAR(EstimateOf(A100(), "aten.mm(f32[4096,4096], f32[4096,4096])").duration.microseconds() / bf16, 16, 0.5);
}

TEST(GpuEstimator, SaysThatARelativeIsNotMeasured) {
  cluster::Device device = A100();
  device.name = "a800-sxm-80gb";
  const Estimate estimate = EstimateOf(device, "aten.mm(bf16[4096,4096], bf16[4096,4096])");
  EXPECT_EQ(estimate.source, Source::kAnalytic);
  EXPECT_NEAR(estimate.duration.microseconds(), 539.5, 0.5);
}

constexpr char kForward[] =
    "aten._scaled_dot_product_flash_attention(bf16[{0},{1},{2},128], bf16[{0},{1},{2},128], bf16[{0},{1},{2},128], 0.0, true)";

double ForwardMicroseconds(int64_t batch, int64_t heads, int64_t length) {
  return EstimateOf(A100(), fmt::format(fmt::runtime(kForward), batch, heads, length)).duration.microseconds();
}

// FlashAttention-2 on A100 reaches 150 TFLOP/s and more at 2048 tokens and close to 200 at 16384 when the batch is large (arXiv 2307.08691,
// figure 5, causal, head size 128); with 32 heads in all less at 2048. 2 * 32 * 2048^2 * 128 FLOPs are 34.4 GFLOP.
TEST(GpuEstimator, AttentionGetsMoreEfficientWithLength) {
  const double short_rate = 34.4e9 / ForwardMicroseconds(1, 32, 2048) * 1e-6;
  const double long_rate = 64 * 34.4e9 / ForwardMicroseconds(1, 32, 16384) * 1e-6;
  EXPECT_GT(short_rate, 100);
  EXPECT_LT(short_rate, 150);
  EXPECT_GT(long_rate, 170);
  EXPECT_LT(long_rate, 205);
}

TEST(GpuEstimator, AttentionNeverGetsFasterWithMoreWork) {
  for (int64_t length = 512; length < 32768; length *= 2)
    EXPECT_LT(ForwardMicroseconds(1, 16, length), ForwardMicroseconds(1, 16, 2 * length));
  for (int64_t heads = 4; heads < 128; heads *= 2) EXPECT_LT(ForwardMicroseconds(2, heads, 2048), ForwardMicroseconds(2, 2 * heads, 2048));
}

// 2.5 times the FLOPs of forward at 0.82 of its efficiency, where heads are many.
TEST(GpuEstimator, AttentionBackwardFollowsForward) {
  const std::string backward = fmt::format(
      "aten._scaled_dot_product_flash_attention_backward(bf16[{0}], bf16[{0}], bf16[{0}], bf16[{0}], bf16[{0}], f32[4,64,4096], none, "
      "none, "
      "4096, 4096, 0.0, true)",
      "4,64,4096,128");
  const Estimate estimate = EstimateOf(A100(), backward);
  EXPECT_EQ(estimate.source, Source::kAnalytic);
  EXPECT_NEAR(estimate.duration.microseconds() / ForwardMicroseconds(4, 64, 4096), 2.5 / 0.82, 0.15);
}

// On Hopper FlashAttention-2 stays behind the kernels that use its instructions, 319 of 518 TFLOP/s at 4096 tokens; on Ampere there is
// nothing to stay behind of.
TEST(GpuEstimator, AttentionDependsOnTheKernel) {
  const auto ratio = [](const cluster::Device& device) {
    const std::string operands = "bf16[2,16,4096,128], bf16[2,16,4096,128], bf16[2,16,4096,128]";
    const Estimate flash = EstimateOf(device, fmt::format("aten._scaled_dot_product_flash_attention({}, 0.0, true)", operands));
    const Estimate native =
        EstimateOf(device, fmt::format("aten._scaled_dot_product_cudnn_attention({}, none, true, 0.0, true)", operands));
    return native.duration.seconds() / flash.duration.seconds();
  };
  EXPECT_DOUBLE_EQ(ratio(A100()), 1.0);
  cluster::Device hopper = A100();
  hopper.name = "h100-sxm-80gb";
  hopper.architecture = "hopper";
  EXPECT_NEAR(ratio(hopper), 319.0 / 518, 0.01);
}

// FlashAttention in Triton takes 1.4 times as long forward and twice as long backward as FlashAttention-2 on Ampere., and stands in the
// same proportion on Hopper, where FlashAttention-2 has rates of its own.
TEST(GpuEstimator, TritonsAttentionIsSlower) {
  const auto ratio = [](const cluster::Device& device, const std::string& key) {
    return GpuEstimator(device, AttentionKernel::kTriton).EstimateOp(Op(key))->duration.seconds() /
           EstimateOf(device, key).duration.seconds();
  };
  const std::string heads = "bf16[4,16,4096,128]";
  const std::string forward = fmt::format("aten._scaled_dot_product_flash_attention({0}, {0}, {0}, 0.0, true)", heads);
  const std::string backward = fmt::format(
      "aten._scaled_dot_product_flash_attention_backward({0}, {0}, {0}, {0}, {0}, f32[4,16,4096], none, none, 4096, 4096, 0.0, true)",
      heads);
  EXPECT_NEAR(ratio(A100(), forward), 1.4, 0.01);
  EXPECT_NEAR(ratio(A100(), backward), 2.0, 0.01);
  cluster::Device hopper = A100();
  hopper.name = "h100-sxm-80gb";
  hopper.architecture = "hopper";
  EXPECT_NEAR(ratio(hopper, backward) / ratio(hopper, forward), 2.0 / 1.4, 0.01);
}

// One sequence of 32 heads of 8192 tokens: 64 blocks of 128 keys a head are 2048 thread blocks, 19 waves of 108 multiprocessors. In a fixed
// order ceil(108 / 32) = 4 thread blocks of a head take 16 blocks of keys each: 128 of them, two waves, 32 turns. Forward sums in one
// order.
TEST(GpuEstimator, DeterministicAttentionFillsItsWavesBadly) {
  const auto ratio = [](const std::string& key) {
    const GpuEstimator deterministic(A100(), AttentionKernel::kFlash2, {}, true);
    return deterministic.EstimateOp(Op(key))->duration.seconds() / EstimateOf(A100(), key).duration.seconds();
  };
  const std::string heads = "bf16[1,32,8192,128]";
  EXPECT_DOUBLE_EQ(ratio(fmt::format("aten._scaled_dot_product_flash_attention({0}, {0}, {0}, 0.0, true)", heads)), 1.0);
  EXPECT_NEAR(
      ratio(fmt::format("aten._scaled_dot_product_flash_attention_backward({0}, {0}, {0}, {0}, {0}, f32[1,32,8192], none, none, 8192, "
                        "8192, 0.0, true)",
                        heads)),
      32.0 / 19, 0.01);
}

// FlashAttention-2 does 335 TFLOP/s on an H100 with 16 heads of 16384 tokens (training_attention.h). 148 multiprocessors of 1856 MHz
// against 132 of 1830: 1.137 times as fast. Transformer Engine takes it there for a deterministic cuDNN attention.
TEST(GpuEstimator, BlackwellRunsFlashAttention2ByMultiprocessorsAndClock) {
  cluster::Device device = A100();
  device.name = "b200-sxm-180gb";
  device.architecture = "blackwell";
  device.peak["bf16"] = FlopsPerSecond::Tera(2250);
  device.multiprocessors = 148;
  device.clock_mhz = 1856;
  const std::string key = fmt::format("aten._scaled_dot_product_flash_attention({0}, {0}, {0}, 0.0, true)", "bf16[1,16,16384,128]");
  const double flops = 2.0 * 16 * 16384 * 16384 * 128;
  EXPECT_NEAR(flops / EstimateOf(device, key).duration.seconds() / 1e12, 335 * 1.137 * device.sustained_clock, 2);
  const GpuEstimator deterministic(device, AttentionKernel::kNative, {}, true);
  EXPECT_EQ(deterministic.EstimateOp(Op(key))->duration, EstimateOf(device, key).duration);
}

// A head size of 72 is computed as 96: the same time.
TEST(GpuEstimator, AttentionPadsHeadSizes) {
  const auto time = [](const char* size) {
    const std::string tensor = fmt::format("bf16[4,16,2048,{}]", size);
    return EstimateOf(A100(), fmt::format("aten._scaled_dot_product_flash_attention({0}, {0}, {0}, 0.0, true)", tensor)).duration;
  };
  EXPECT_EQ(time("72"), time("96"));
  EXPECT_LT(time("64"), time("96"));
  // Half the FLOPs at 0.93 of the efficiency, after 2 us.
  EXPECT_NEAR((time("64").microseconds() - 2) / (time("128").microseconds() - 2), 0.5 / 0.93, 0.01);
}

// An op without a measured relative. 32 MiB read and as much written at 0.82 of 2039 GB/s, after 2.5 us: 42.6 us.
TEST(GpuEstimator, PointwiseOpsAreTheirBytes) {
  const Estimate estimate = EstimateOf(A100(), "aten.atan(bf16[4096,4096])");
  EXPECT_EQ(estimate.source, Source::kAnalytic);
  EXPECT_NEAR(estimate.duration.microseconds(), 2.5 + 2 * 33554432 / (2039e9 * 0.82) * 1e6, 0.01);
}

TEST(GpuEstimator, NamesWhatTheDeviceLacks) {
  cluster::Device device = A100();
  device.memory_bandwidth.reset();
  const auto estimate = GpuEstimator(device).EstimateOp(Op("aten.neg(f32[64])"));
  ASSERT_FALSE(estimate.ok());
  EXPECT_THAT(estimate.status().message(), HasSubstr("no memory bandwidth"));
}

// What each kernel touches, in bytes; 1024 x 512 elements are 512 Ki.
TEST(TrafficOf, CountsWhatTheKernelTouches) {
  constexpr int64_t kElements = 1024 * 512;
  const auto traffic = [](const std::string& key) {
    const Traffic t = TrafficOf(Op(key));
    return std::pair(t.read.count(), t.written.count());
  };
  EXPECT_EQ(traffic("aten._to_copy(bf16[1024,512], f32)"), std::pair(2 * kElements, 4 * kElements));
  EXPECT_EQ(traffic("aten.copy_(f32[1024,512], bf16[1024,512])"), std::pair(2 * kElements, 4 * kElements));
  EXPECT_EQ(traffic("aten.sum.dim_IntList(f32[1024,512], [1], false)"), std::pair(4 * kElements, int64_t{0}));
  EXPECT_EQ(traffic("aten.add_.Tensor(f32[1024,512], f32[1024,512])"), std::pair(8 * kElements, 4 * kElements));
  // The mask takes one byte an element.
  EXPECT_EQ(traffic("aten.native_dropout(bf16[1024,512], 0.1, true)"), std::pair(2 * kElements, 3 * kElements));
  EXPECT_EQ(traffic("aten.native_dropout_backward(bf16[1024,512], bool[1024,512], 1.25)"), std::pair(3 * kElements, 2 * kElements));
  EXPECT_EQ(traffic("aten.new_ones(i64[8], [1024, 512], f32)"), std::pair(int64_t{0}, 4 * kElements));
  // Bias and GELU as one kernel: what it reads and what it leaves.
  EXPECT_EQ(traffic("helm.region([bf16[1024,512], @bf16[512]], [bf16[1024,512]])"), std::pair(2 * kElements + 1024, 2 * kElements));
  // One number of 1024 rows, by 1024 indices of 8 bytes.
  EXPECT_EQ(traffic("aten.gather(f32[1024,512], 1, i64[1024,1]<512)"), std::pair(int64_t{1024 * (8 + 4)}, int64_t{1024 * 4}));
  // Tokens to experts and back: 4096 rows of 512 by indices of 8 bytes; added to 1024 rows, each one is read and written as often as it is
  // named. Of 1024 rows of 64 the largest 8, of 4 bytes, with their indices.
  EXPECT_EQ(traffic("aten.index_select(bf16[1024,512], 0, i64[4096]<1024)"), std::pair(8 * kElements + 4096 * 8, 8 * kElements));
  EXPECT_EQ(traffic("aten.index_add_(bf16[1024,512], 0, i64[4096]<1024, bf16[4096,512])"),
            std::pair(16 * kElements + 4096 * 8, 8 * kElements));
  EXPECT_EQ(traffic("aten.topk(f32[1024,64], 8)"), std::pair(int64_t{1024 * 64 * 4}, int64_t{1024 * 8 * 12}));
  EXPECT_EQ(traffic("aten.scatter_.src(f32[64,1024], 0, i64[8,1024]<64, f32[8,1024])"), std::pair(int64_t{8192 * 12}, int64_t{8192 * 4}));
  // A lookup of 1024 rows in a table of 50000 reads 1024 rows.
  EXPECT_EQ(traffic("aten.embedding(bf16[50000,512], i64[1024]<50000)"), std::pair(2 * kElements, 2 * kElements));
}

// 1 MB in, 1 MB out and 1 GFLOP at 19.5 TFLOP/s: the FLOPs take 51 us, the bytes 1.2 us.
TEST(FusedKernelSeconds, IsBoundByBytesOrFlops) {
  const Traffic traffic{Bytes(1000000), Bytes(1000000)};
  EXPECT_NEAR(*FusedKernelSeconds(A100(), traffic, Flops(0)) * 1e6, 3.7, 0.05);
  EXPECT_NEAR(*FusedKernelSeconds(A100(), traffic, Flops(1e9)) * 1e6, 53.8, 0.05);
}

}  // namespace
}  // namespace helm::cost
