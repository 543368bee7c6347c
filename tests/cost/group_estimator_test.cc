// What ops and collectives cost where a cluster has several kinds of nodes.
#include "cost/group_estimator.h"

#include <gtest/gtest.h>

#include "cluster/device_groups.h"
#include "cluster/group_reader.h"

namespace helm::cost {
namespace {

cluster::Cluster Node(const std::string& name, double rate) {
  cluster::Cluster node;
  node.name = node.device.name = name;
  node.device.memory_bandwidth = BytesPerSecond::Gigabytes(2000 * rate);
  node.device.peak["bf16"] = FlopsPerSecond::Tera(300 * rate);
  node.devices_per_node = node.devices_used = 8;
  node.intra_node = {"nvswitch", BytesPerSecond::Gigabytes(300)};
  return node;
}

cluster::Cluster TwoGroups() {
  cluster::Cluster cluster;
  cluster.name = "two";
  cluster.groups = {Node("fast", 1.0), Node("slow", 0.5)};
  cluster.between = {1, BytesPerSecond::Gigabits(100), "ethernet", Duration::Microseconds(20)};
  cluster::SumUpGroups(cluster);
  return cluster;
}

ir::OpSignature Op(const std::string& text) { return ir::ParseOpSignature(text).value(); }
ir::CollectiveSignature Collective(int64_t ranks, int64_t per_node) {
  ir::CollectiveSignature collective;
  collective.kind = "all_reduce";
  collective.dtype = ir::DataType::kBFloat16;
  collective.ranks = ranks;
  collective.ranks_per_node = per_node;
  collective.bytes = Bytes(64 << 20);
  return collective;
}

TEST(GroupEstimator, EachGroupHasItsOwnPricesAndTogetherTheSlowest) {
  const auto estimator = MakeClusterEstimator(TwoGroups(), {});
  ASSERT_TRUE(estimator.ok()) << estimator.status().message();
  const ir::OpSignature op = Op("aten.mm(bf16[4096,4096], bf16[4096,4096])");
  const auto fast = (*estimator)->Among(1).EstimateOp(op), slow = (*estimator)->Among(2).EstimateOp(op);
  const auto both = (*estimator)->Among(3).EstimateOp(op);
  ASSERT_TRUE(fast.ok() && slow.ok() && both.ok());
  EXPECT_LT(fast->duration, slow->duration);
  EXPECT_EQ(both->duration, slow->duration);
  EXPECT_EQ((*estimator)->EstimateOp(op)->duration, slow->duration);
}

// Inside a group its NVLink; among both the link between them, by which nothing was measured.
TEST(GroupEstimator, ACollectiveAmongGroupsTakesTheLinkBetween) {
  const auto estimator = MakeClusterEstimator(TwoGroups(), {});
  ASSERT_TRUE(estimator.ok());
  const auto inside = (*estimator)->Among(1).EstimateCollective(Collective(8, 8));
  const auto among = (*estimator)->Among(3).EstimateCollective(Collective(16, 8));
  ASSERT_TRUE(inside.ok()) << inside.status().message();
  ASSERT_TRUE(among.ok()) << among.status().message();
  // 64 MiB over 100 Gb/s, 12.5 GB/s, are 5.4 ms; an all-reduce over two nodes passes all of it.
  EXPECT_GT(among->duration.seconds(), 5e-3);
  EXPECT_LT(inside->duration.seconds(), 1e-3);
  EXPECT_EQ(among->source, Source::kAnalytic);
  EXPECT_FALSE((*estimator)->Among(1).EstimateCollective(Collective(16, 8)).ok());  // a group of one node has no link to others
}

TEST(GroupEstimator, ATableIsOfOneOfTheGroups) {
  CostTable table;
  table.device = {"cuda", "slow", 1, 1};
  table.ops["aten.mm(bf16[4096,4096], bf16[4096,4096])"] = {.median = Duration::Microseconds(7)};
  const auto estimator = MakeClusterEstimator(TwoGroups(), {table});
  ASSERT_TRUE(estimator.ok()) << estimator.status().message();
  const ir::OpSignature op = Op("aten.mm(bf16[4096,4096], bf16[4096,4096])");
  EXPECT_EQ((*estimator)->Among(2).EstimateOp(op)->duration, Duration::Microseconds(7));
  EXPECT_EQ((*estimator)->Among(2).EstimateOp(op)->source, Source::kMeasured);
  EXPECT_NE((*estimator)->Among(1).EstimateOp(op)->source, Source::kMeasured);
  EXPECT_EQ(ClusterWarnings(TwoGroups(), {table}).size(), 2U);  // fast: nothing measured; slow: no launch costs
  table.device.name = "other";
  const auto refused = MakeClusterEstimator(TwoGroups(), {table});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("which none of the groups of the cluster 'two' is"), std::string::npos);
}

}  // namespace
}  // namespace helm::cost
