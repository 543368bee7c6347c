#include "cost/overlap_model.h"

#include <gtest/gtest.h>

namespace helm::cost {
namespace {

// 132 multiprocessors, 3000 GB/s of memory, 450 GB/s of NVLink, a card of 50 GB/s for each of eight GPUs.
cluster::Cluster Hopper() {
  cluster::Cluster cluster;
  cluster.device.architecture = "hopper";
  cluster.device.multiprocessors = 132;
  cluster.device.memory_bandwidth = BytesPerSecond::Gigabytes(3000);
  cluster.devices_per_node = 8;
  cluster.intra_node = {"nvswitch", BytesPerSecond::Gigabytes(450)};
  cluster.inter_node = {8, BytesPerSecond::Gigabytes(50), "infiniband", Duration::Microseconds(5)};
  return cluster;
}

// Products: 24 of 132 multiprocessors, 8 of 132. Memory: 2.5 x 0.8 x 450 = 900 GB/s, 2.5 x 0.8 x 50 = 100 GB/s, of 3000.
TEST(OverlapLosses, OfMultiprocessorsAndBandwidth) {
  const OverlapLosses losses = OverlapLossesOf(Hopper());
  EXPECT_DOUBLE_EQ(losses.inside.product, 24.0 / 132);
  EXPECT_DOUBLE_EQ(losses.network.product, 8.0 / 132);
  EXPECT_NEAR(losses.inside.memory_bound, 0.3, 1e-12);
  EXPECT_NEAR(losses.network.memory_bound, 1.0 / 30, 1e-12);
  EXPECT_DOUBLE_EQ(losses.communication, 1 - 1 / 1.075);
}

// Twice the channels between nodes: 16 of 108.
TEST(OverlapLosses, AmpereDoublesItsChannelsBetweenNodes) {
  cluster::Cluster cluster = Hopper();
  cluster.device.architecture = "ampere";
  cluster.device.multiprocessors = 108;
  EXPECT_DOUBLE_EQ(OverlapLossesOf(cluster).network.product, 16.0 / 108);
}

TEST(OverlapLosses, OfACpuThereAreNone) {
  cluster::Cluster cluster = Hopper();
  cluster.device.is_cpu = true;
  EXPECT_EQ(OverlapLossesOf(cluster), OverlapLosses());
}

}  // namespace
}  // namespace helm::cost
