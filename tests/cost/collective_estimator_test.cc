#include "cost/collective_estimator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "cost/gpu_collective_model.h"

namespace helm::cost {
namespace {

constexpr int64_t kMebibyte = int64_t{1} << 20;

// Eight GPUs of a node behind switches, `nvlink` GB/s each; one 400 Gb/s card a GPU.
cluster::Cluster Node(const std::string& device, const std::string& architecture, double nvlink) {
  cluster::Cluster cluster;
  cluster.device.name = device;
  cluster.device.architecture = architecture;
  cluster.node_count = 2;
  cluster.devices_per_node = 8;
  cluster.devices_used = 16;
  cluster.intra_node = {"nvswitch", BytesPerSecond::Gigabytes(nvlink)};
  cluster.inter_node = {8, BytesPerSecond::Gigabits(400), "infiniband", Duration::Microseconds(5)};
  return cluster;
}

ir::CollectiveSignature Collective(const std::string& text) {
  const auto collective = ir::ParseCollectiveSignature(text);
  HELM_CHECK(collective.ok(), collective.status().message().c_str());
  return *collective;
}

double Modelled(const cluster::Cluster& cluster, const std::string& text) {
  return GpuCollectiveTime(cluster, Collective(text))->microseconds();
}

Estimate Ask(const cluster::Cluster& cluster, const std::vector<CollectiveTable>& tables, const std::string& text) {
  const auto estimate = CollectiveEstimator(cluster, tables).EstimateCollective(Collective(text));
  HELM_CHECK(estimate.ok(), estimate.status().message().c_str());
  return *estimate;
}

CollectiveTable TableOf(const std::string& device, std::vector<CollectiveCurve> curves) {
  CollectiveTable table;
  table.device = device;
  table.architecture = "hopper";
  table.reference = Node(device, "hopper", 450);
  table.curves = std::move(curves);
  return table;
}

// 1 MiB in 50 us, 4 MiB in 200 us: 2 MiB, half way in the logarithm, in 100 us. 8 MiB by the bandwidth between the last two points:
// 200 + 4 MiB x 150 us / 3 MiB.
TEST(CollectiveEstimator, MeasuredGroupsHaveTheMeasuredTime) {
  const std::vector<CollectiveTable> tables = {
      TableOf("chip", {{"all_reduce", 8, 8, {{1.0 * kMebibyte, 50e-6}, {4.0 * kMebibyte, 200e-6}}}})};
  const cluster::Cluster node = Node("chip", "hopper", 450);
  EXPECT_NEAR(Ask(node, tables, "all_reduce bf16 ranks=8 per_node=8 bytes=1048576").duration.microseconds(), 50, 1e-5);
  EXPECT_NEAR(Ask(node, tables, "all_reduce bf16 ranks=8 per_node=8 bytes=2097152").duration.microseconds(), 100, 1e-5);
  EXPECT_NEAR(Ask(node, tables, "all_reduce bf16 ranks=8 per_node=8 bytes=8388608").duration.microseconds(), 400, 1e-5);
  EXPECT_EQ(Ask(node, tables, "all_reduce bf16 ranks=8 per_node=8 bytes=1048576").source, Source::kInterpolated);
}

// Two ranks take twice the model's time, eight ranks eight times: four ranks, half way in the logarithm, four times. Three ranks are
// log(3/2) / log(4) of the way; sixteen, beyond the measured ones, eight times, and that is not interpolation.
TEST(CollectiveEstimator, NumbersOfRanksBetweenMeasuredOnes) {
  const cluster::Cluster node = Node("chip", "hopper", 450);
  const double two = Modelled(node, "all_gather bf16 ranks=2 per_node=2 bytes=1048576") * 1e-6;
  const double eight = Modelled(node, "all_gather bf16 ranks=8 per_node=8 bytes=1048576") * 1e-6;
  const std::vector<CollectiveTable> tables = {
      TableOf("chip", {{"all_gather", 2, 2, {{1.0 * kMebibyte, 2 * two}, {2.0 * kMebibyte, 4 * two}}},
                       {"all_gather", 8, 8, {{1.0 * kMebibyte, 8 * eight}, {2.0 * kMebibyte, 16 * eight}}}})};
  const auto factor = [&](const std::string& text) { return Ask(node, tables, text).duration.microseconds() / Modelled(node, text); };
  EXPECT_NEAR(factor("all_gather bf16 ranks=4 per_node=4 bytes=1048576"), 4, 1e-4);
  EXPECT_NEAR(factor("all_gather bf16 ranks=3 per_node=3 bytes=1048576"), 2 * std::pow(4, std::log(1.5) / std::log(4.0)), 1e-4);
  EXPECT_NEAR(factor("all_gather bf16 ranks=16 per_node=16 bytes=1048576"), 8, 1e-4);
  EXPECT_EQ(Ask(node, tables, "all_gather bf16 ranks=16 per_node=16 bytes=1048576").source, Source::kAnalytic);
}

// A relative of the measured GPU with fewer links: the same factor on its own model. One of another architecture without a table has the
// factor of Hopper.
TEST(CollectiveEstimator, OtherGpusAreCorrectedAlike) {
  const cluster::Cluster node = Node("chip", "hopper", 450);
  const std::string text = "reduce_scatter bf16 ranks=8 per_node=8 bytes=1048576";
  const double time = Modelled(node, text) * 1e-6;
  const std::vector<CollectiveTable> tables = {
      TableOf("chip", {{"reduce_scatter", 8, 8, {{1.0 * kMebibyte, 3 * time}, {2.0 * kMebibyte, 6 * time}}}})};
  for (const cluster::Cluster& other : {Node("h800", "hopper", 200), Node("b200", "blackwell", 900)}) {
    const Estimate estimate = Ask(other, tables, text);
    EXPECT_NEAR(estimate.duration.microseconds(), 3 * Modelled(other, text), 1e-4);
    EXPECT_EQ(estimate.source, Source::kAnalytic);
  }
}

// Messages between nodes have curves of their own, which hold for any GPU: the network is what limits them.
TEST(CollectiveEstimator, MessagesBetweenNodes) {
  const cluster::Cluster node = Node("chip", "hopper", 450);
  const std::string text = "send bf16 ranks=2 per_node=1 bytes=1048576";
  const double time = Modelled(node, text) * 1e-6;
  const std::vector<CollectiveTable> tables = {
      TableOf("chip", {{"send", 2, 1, {{1.0 * kMebibyte, 2 * time}, {2.0 * kMebibyte, 4 * time}}}})};
  cluster::Cluster pcie = Node("card", "ampere", 25);
  pcie.intra_node->kind = "pcie";
  EXPECT_NEAR(Ask(pcie, tables, text).duration.microseconds(), 2 * Modelled(pcie, text), 1e-4);
  EXPECT_FALSE(CollectiveEstimator(pcie, tables).EstimateCollective(Collective("send bf16 ranks=2 per_node=2 bytes=1048576")).ok());
}

TEST(CollectiveEstimator, WithoutALikeThereIsNoPrice) {
  const std::vector<CollectiveTable> tables = {TableOf("chip", {{"send", 2, 2, {{1, 1e-6}, {2, 2e-6}}}})};
  const cluster::Cluster node = Node("chip", "hopper", 450);
  EXPECT_EQ(
      CollectiveEstimator(node, tables).EstimateCollective(Collective("all_reduce bf16 ranks=8 per_node=8 bytes=8")).status().message(),
      "all_reduce bf16 ranks=8 per_node=8 bytes=8: nobody has measured its like");
}

// All-reduces of another source (vTrain, trace/a100/AR_GPU*_LUT, MIT; microseconds), none of which is in the tables.
TEST(CollectiveEstimator, AgreesWithAllReducesOfAnotherSource) {
  const cluster::Cluster node = Node("a100-sxm-80gb", "ampere", 300);
  const auto expect = [&](int64_t ranks, int64_t mebibytes, double microseconds, double tolerance) {
    const std::string text = "all_reduce f16 ranks=" + std::to_string(ranks) + " per_node=" + std::to_string(ranks) +
                             " bytes=" + std::to_string(mebibytes * kMebibyte);
    EXPECT_NEAR(Ask(node, BuiltinCollectiveTables(), text).duration.microseconds() / microseconds, 1, tolerance) << text;
  };
  expect(2, 16, 131.9, 0.06);
  expect(2, 1024, 5442.8, 0.06);
  expect(4, 64, 543.8, 0.03);
  expect(4, 1024, 7259.4, 0.03);
  expect(8, 64, 579.9, 0.04);
  expect(8, 256, 2162.3, 0.04);
  expect(8, 1024, 8193.0, 0.04);
}

}  // namespace
}  // namespace helm::cost
