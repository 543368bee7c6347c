#include "cost/network_correction.h"

#include <gtest/gtest.h>

#include <cmath>

namespace helm::cost {
namespace {

using enum NcclAlgorithm;
using enum NcclCollective;

constexpr int64_t kMebibyte = int64_t{1} << 20;

NcclCommunicator Hopper(int64_t nodes, int64_t ranks_per_node) {
  NcclCommunicator communicator;
  communicator.nodes = nodes;
  communicator.ranks_per_node = ranks_per_node;
  return communicator;
}

void Expect(const NetworkCorrection& correction, double share, double latency) {
  EXPECT_NEAR(correction.bandwidth_share, share, 1e-9);
  EXPECT_NEAR(correction.latency_us, latency, 1e-9);
}

TEST(NetworkCorrection, OneNodeHasNone) { Expect(NetworkCorrectionOf(Hopper(1, 8), kAllGather, kRing, Bytes(kMebibyte)), 1, 0); }

// 512 MiB over 16 GPUs are 32 MiB each: 0.87; 256 MiB: 0.79; 64 MiB: 0.68. Two nodes synchronise in 2 x 4.7 us.
TEST(NetworkCorrection, FullNodesByBytesOfAGpu) {
  Expect(NetworkCorrectionOf(Hopper(2, 8), kAllGather, kRing, Bytes(512 * kMebibyte)), .87, 9.4);
  Expect(NetworkCorrectionOf(Hopper(2, 8), kReduceScatter, kRing, Bytes(256 * kMebibyte)), .79, 9.4);
  Expect(NetworkCorrectionOf(Hopper(2, 8), kReduceScatter, kRing, Bytes(64 * kMebibyte)), .68, 9.4);
}

// One GPU of each of 2 nodes, 16 MiB: 8 MiB each = 64 x 2^17, the share before the last: .78. On 16 nodes 128 MiB, as much a GPU, to the
// power of 1 + 0.2 x (4 - 2), and 16 x 4.7 x 4^0.65 us.
TEST(NetworkCorrection, FewGpusOfANodeReachLess) {
  Expect(NetworkCorrectionOf(Hopper(2, 1), kAllGather, kRing, Bytes(16 * kMebibyte)), .78, 9.4);
  Expect(NetworkCorrectionOf(Hopper(16, 1), kAllGather, kRing, Bytes(128 * kMebibyte)), std::pow(.78, 1.4), 75.2 * std::pow(4, 0.65));
  Expect(NetworkCorrectionOf(Hopper(2, 1), kAllGather, kRing, Bytes(1024 * kMebibyte)), 1, 9.4);
}

// NVLSTree, 16 GPUs, 16 MiB: 1 MiB each = 64 x 2^14: .72. Rings and trees that reduce are NCCL's own.
TEST(NetworkCorrection, Reductions) {
  Expect(NetworkCorrectionOf(Hopper(2, 8), kAllReduce, kNvlsTree, Bytes(16 * kMebibyte)), .72, 0);
  Expect(NetworkCorrectionOf(Hopper(2, 8), kAllReduce, kRing, Bytes(16 * kMebibyte)), 1, 0);
  Expect(NetworkCorrectionOf(Hopper(2, 8), kAllReduce, kTree, Bytes(16 * kMebibyte)), 1, 0);
}

// 1 MiB = 64 x 2^14: .82, of which two nodes lose 0.44 / 2; four lose half of the missing .18, and 0.44 / 4. Between 8 and 16 nodes: 12
// nodes are log2(12 / 8) of the way from 60 to 98 us.
TEST(NetworkCorrection, AllToAll) {
  Expect(AllToAllNetwork(2, Bytes(kMebibyte)), .82 * .78, 37);
  Expect(AllToAllNetwork(4, Bytes(kMebibyte)), .91 * .89, 42);
  Expect(AllToAllNetwork(12, Bytes(64 * kMebibyte)), 1 - 0.44 / 12, 60 + 38 * std::log2(1.5));
  Expect(AllToAllNetwork(64, Bytes(64 * kMebibyte)), 1 - 0.44 / 64, 580);
}

}  // namespace
}  // namespace helm::cost
