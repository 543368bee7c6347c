#include "cost/nccl_tuner.h"

#include <gtest/gtest.h>

namespace helm::cost {
namespace {

using enum NcclAlgorithm;
using enum NcclProtocol;
using enum NcclCollective;

constexpr int64_t kMebibyte = int64_t{1} << 20;

NcclCommunicator Hopper(int64_t nodes, int64_t ranks_per_node) {
  NcclCommunicator communicator;
  communicator.nodes = nodes;
  communicator.ranks_per_node = ranks_per_node;
  SetSwitchGraphs(communicator, ranks_per_node, BytesPerSecond::Gigabits(400));
  return communicator;
}

double Milliseconds(NcclCollective collective, int64_t bytes) {
  return NcclTime(Hopper(1, 8), collective, kRing, kSimple, Bytes(bytes))->milliseconds();
}

// NCCL's own estimates for 8 H100 on one node, ring, Simple (techniques.md 11): gathers by bytes of a rank, 1/8 of the full tensor.
TEST(NcclTuner, OneNodeAgreesWithNcclsOwnEstimates) {
  EXPECT_NEAR(Milliseconds(kAllGather, 8 * 1024 * kMebibyte), 20.9105, 0.02);
  EXPECT_NEAR(Milliseconds(kAllGather, 8 * 128 * kMebibyte), 2.642, 0.003);
  EXPECT_NEAR(Milliseconds(kAllReduce, 1024 * kMebibyte), 5.2756, 0.005);
  EXPECT_NEAR(Milliseconds(kReduceScatter, 1024 * kMebibyte), 2.642, 0.003);
}

void ExpectCost(const NcclCommunicator& communicator, NcclCollective collective, NcclAlgorithm algorithm, NcclProtocol protocol,
                double latency, double bandwidth) {
  const auto cost = NcclCostOf(communicator, collective, algorithm, protocol);
  ASSERT_TRUE(cost.has_value());
  EXPECT_NEAR(cost->latency_us, latency, 0.051);
  if (bandwidth > 0) {
    EXPECT_NEAR(cost->bandwidth_gbytes_per_s, bandwidth, 0.051);
  }
}

// Entries of NCCL 2.27.5 tuning logs, H100 with 400 Gb/s a GPU (techniques.md 11): (nodes, ranks per node).
TEST(NcclTuner, SeveralNodesAgreeWithTuningLogs) {
  ExpectCost(Hopper(2, 8), kAllGather, kRing, kSimple, 70.0, 409.6);
  ExpectCost(Hopper(4, 8), kAllGather, kRing, kSimple, 145.6, 396.4);
  ExpectCost(Hopper(8, 8), kAllGather, kRing, kSimple, 296.8, 390.1);
  ExpectCost(Hopper(4, 1), kAllGather, kRing, kSimple, 50.4, 64.0);
  ExpectCost(Hopper(2, 8), kAllGather, kRing, kLl128, 44.6, 313.2);
  ExpectCost(Hopper(8, 8), kAllReduce, kTree, kLl128, 82.5, 0);
}

// Of small messages the logs have the best protocol: for 1 MiB a rank LL128 (gather) and LL.
TEST(NcclTuner, SmallMessagesAgreeWithNcclsOwnEstimates) {
  EXPECT_NEAR(ChooseNccl(Hopper(1, 8), kReduceScatter, Bytes(kMebibyte)).time.microseconds(), 17.3, 0.05);
  EXPECT_NEAR(ChooseNccl(Hopper(1, 8), kAllReduce, Bytes(kMebibyte)).time.microseconds(), 28.0, 0.05);
  EXPECT_NEAR(NcclTime(Hopper(1, 8), kAllGather, kRing, kLl128, Bytes(8 * kMebibyte))->microseconds(), 49.5, 0.05);
}

// 8 channels of 40 GB/s on one node: bus 8 x 40 x 0.85 x 7/8 x 2 = 476, algorithm x 8/14 = 272 (measured: 267 to 275, techniques.md 5.1).
TEST(NcclTuner, SwitchReductionOfOneNode) { ExpectCost(Hopper(1, 8), kAllReduce, kNvls, kSimple, 25.0, 272.0); }

// The log of NCCL 2.27.5 has 266.7 GB/s; the published tables give 8 x min(59.5, 96, 57.7) x 16/30 = 246.2, 8 % less.
TEST(NcclTuner, SwitchReductionOverTwoNodesIsNearTheLog) {
  ExpectCost(Hopper(2, 8), kAllReduce, kNvlsTree, kSimple, 66.8, 246.2);
  EXPECT_NEAR(NcclCostOf(Hopper(2, 8), kAllReduce, kNvlsTree, kSimple)->bandwidth_gbytes_per_s, 266.7, 0.08 * 266.7);
}

// LL has the least latency, a ring or the switch the most bandwidth; trees reduce, they do not gather.
TEST(NcclTuner, ChoiceDependsOnTheSize) {
  EXPECT_EQ(ChooseNccl(Hopper(1, 8), kAllReduce, Bytes(1024)).protocol, kLl);
  EXPECT_EQ(ChooseNccl(Hopper(1, 8), kAllReduce, Bytes(1024 * kMebibyte)).algorithm, kNvls);
  EXPECT_EQ(ChooseNccl(Hopper(8, 8), kAllReduce, Bytes(1024)).algorithm, kTree);
  EXPECT_FALSE(NcclCostOf(Hopper(8, 8), kAllGather, kTree, kSimple).has_value());
}

}  // namespace
}  // namespace helm::cost
