#include "cluster/ring_time.h"

#include <gtest/gtest.h>

#include <string>

namespace helm::cluster {
namespace {

// Inside a node 1 us and 1 GB/s, between nodes 10 us and 0.1 GB/s; 8000 bytes.
constexpr Link Inside() { return {Duration::Nanoseconds(1000), BytesPerSecond::Gigabytes(1)}; }
constexpr Link Between() { return {Duration::Nanoseconds(10000), BytesPerSecond::Gigabytes(0.1)}; }

struct Case {
  std::string name;
  std::string kind;
  int64_t ranks;
  int64_t ranks_per_node;
  double microseconds;
};

class RingTimeCases : public testing::TestWithParam<Case> {};

TEST_P(RingTimeCases, HasTheTimeOfTheName) {
  const Case& test = GetParam();
  const auto time = RingTime(test.kind, Bytes(8000), {test.ranks, test.ranks_per_node, Inside(), Between()});
  ASSERT_TRUE(time.ok()) << time.status().message();
  EXPECT_EQ(*time, Duration::Microseconds(test.microseconds));
}

INSTANTIATE_TEST_SUITE_P(Cases, RingTimeCases,
                         testing::Values(Case{"OneRank", "all_reduce", 1, 1, 0},
                                         // 3 steps of 2000 bytes inside: 3 * (1 + 2).
                                         Case{"GatherInOneNode", "all_gather", 4, 4, 9},
                                         Case{"ScatterInOneNode", "reduce_scatter", 4, 4, 9},
                                         Case{"ReduceInOneNode", "all_reduce", 4, 4, 18},
                                         // 7 steps of 1000 bytes between: 7 * (10 + 10).
                                         Case{"GatherOneRankPerNode", "all_gather", 8, 1, 140},
                                         // 3 * (1 + 2) inside and 1 * (10 + 10) for the node's quarter between.
                                         Case{"GatherOverTwoNodes", "all_gather", 8, 4, 29},
                                         Case{"ReduceOverTwoNodes", "all_reduce", 8, 4, 58},
                                         // To 3 ranks inside 3 * (1 + 1), to 4 outside 4 * (10 + 10), at the same time.
                                         Case{"AllToAllOverTwoNodes", "all_to_all", 8, 4, 80},
                                         // 3 * 1 + 1 * 10 until the last rank has the first byte, then 8000 bytes at 0.1 GB/s.
                                         Case{"BroadcastOverTwoNodes", "broadcast", 8, 4, 93}, Case{"SendInside", "send", 4, 4, 9},
                                         Case{"ReceiveBetween", "recv", 2, 1, 90}),
                         [](const auto& info) { return info.param.name; });

// 6 ranks, 4 of them on the first node: as two nodes of four, 2 x (3 * (1 + 2) + 1 * (10 + 10)).
TEST(RingTime, UnevenNodesCountAsFull) {
  const auto time = RingTime("all_reduce", Bytes(8000), {6, 4, Inside(), Between()});
  ASSERT_TRUE(time.ok()) << time.status().message();
  EXPECT_EQ(*time, Duration::Microseconds(58));
}

TEST(RingTime, UnknownKindIsRefused) {
  const auto time = RingTime("all_sort", Bytes(8000), {4, 4, Inside(), Between()});
  EXPECT_EQ(time.status().message(),
            "unknown collective 'all_sort'; known: all_reduce, all_gather, reduce_scatter, all_to_all, broadcast, send, recv");
}

}  // namespace
}  // namespace helm::cluster
