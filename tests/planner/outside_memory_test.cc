#include "planner/outside_memory.h"

#include <gtest/gtest.h>

#include <string>

#include "support/program_from_text.h"

namespace helm::planner {
namespace {

constexpr int64_t kMebibyte = int64_t{1} << 20;

cluster::Cluster Gpus(int64_t per_node) {
  cluster::Cluster cluster;
  cluster.device.architecture = "hopper";
  cluster.devices_per_node = per_node;
  return cluster;
}

// An all-reduce over two ranks of the data group, twice: one communicator.
ir::StepPrograms TwoReductions(int64_t ranks) {
  return {{test::ProgramFromText("helm-program/1\nprogram p device=cuda\nmesh data=" + std::to_string(ranks) + R"(
group data = [data]
storage x: 40 bytes input persistent
tensor %x: f32[10] @x
input x = %x
#0 %a: f32[10] @x = c10d.all_reduce(%x, "sum") {phase=forward group=data}
#1 c10d.wait(#0) {phase=forward group=data}
#2 %b: f32[10] @x = c10d.all_reduce(%a, "sum") {phase=forward group=data}
#3 c10d.wait(#2) {phase=forward group=data}
output b = %b
)")}};
}

// 24 channels of 12 MiB for the ring, and as many for the tree of two ranks, 1.4 times as many for one of more. Over nodes 8 channels.
TEST(OutsideMemory, EachCommunicatorHasItsBuffers) {
  EXPECT_EQ(OutsideMemoryOf(TwoReductions(2), 0, Gpus(8)).nccl_buffers.count(), 24 * 12 * 2 * kMebibyte);
  EXPECT_NEAR(static_cast<double>(OutsideMemoryOf(TwoReductions(4), 0, Gpus(8)).nccl_buffers.count()), 24 * 12 * 2.4 * kMebibyte, 1);
  EXPECT_EQ(OutsideMemoryOf(TwoReductions(2), 0, Gpus(1)).nccl_buffers.count(), 8 * 12 * 2 * kMebibyte);
  EXPECT_EQ(OutsideMemoryOf(TwoReductions(2), 0, Gpus(8)).cuda_context.count(), 600 * kMebibyte);
}

TEST(OutsideMemory, ACpuHasNone) {
  cluster::Cluster cpu = Gpus(8);
  cpu.device.is_cpu = true;
  EXPECT_EQ(OutsideMemoryOf(TwoReductions(2), 0, cpu).total().count(), 0);
  EXPECT_EQ(CublasWorkspaces(cpu.device, {}).count(), 0);
}

// 2 x 4096 KiB and 8 x 16 KiB; eight buffers of 4096 KiB from Hopper on. Autograd's thread has as much of its own.
TEST(OutsideMemory, CublasKeepsItsWorkspaces) {
  const cluster::Device ampere = {.architecture = "ampere"}, hopper = {.architecture = "hopper"};
  EXPECT_EQ(CublasWorkspaces(ampere, {.framework = "helm"}).count(), 8519680);
  EXPECT_EQ(CublasWorkspaces(hopper, {.framework = "helm"}).count(), 32 * kMebibyte);
  EXPECT_EQ(CublasWorkspaces(ampere, {.framework = "nanotron"}).count(), 2 * 8519680);
  EXPECT_EQ(CublasWorkspaces(hopper, {.framework = "nanotron"}).count(), 64 * kMebibyte);
}

// 4 MiB, from Hopper on 32, beside those of PyTorch's two threads.
TEST(OutsideMemory, TransformerEngineKeepsItsOwnWorkspace) {
  const ir::Software software = {.framework = "megatron-core", .fused = {.norm_linear = true}};
  EXPECT_EQ(CublasWorkspaces({.architecture = "ampere"}, software).count(), 2 * 8519680 + 4 * kMebibyte);
  EXPECT_EQ(CublasWorkspaces({.architecture = "hopper"}, software).count(), 96 * kMebibyte);
}

}  // namespace
}  // namespace helm::planner
