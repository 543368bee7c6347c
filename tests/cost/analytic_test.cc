#include "cost/analytic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace helm::cost {
namespace {

// 1 TFLOP/s in fp32, 100 GB/s of memory; 8 GPUs a node at 100 GB/s, 4 NICs of 50 GB/s with 5 us.
cluster::Cluster Gpus() {
  cluster::Cluster cluster;
  cluster.device.name = "test gpu";
  cluster.device.memory_bandwidth = BytesPerSecond::Gigabytes(100);
  cluster.device.peak["f32"] = FlopsPerSecond::Tera(1);
  cluster.node_count = 2;
  cluster.devices_per_node = 8;
  cluster.devices_used = 16;
  cluster.intra_node = {"nvswitch", BytesPerSecond::Gigabytes(100)};
  cluster.inter_node = {4, BytesPerSecond::Gigabytes(50), "infiniband", Duration::Microseconds(5)};
  return cluster;
}

cluster::Cluster Cpu(int64_t ranks) {
  cluster::Cluster cluster = Gpus();
  cluster.device.name = "test cpu";
  cluster.device.is_cpu = true;
  cluster.local = true;
  cluster.node_count = 1;
  cluster.devices_per_node = ranks;
  cluster.devices_used = ranks;
  cluster.intra_node.reset();
  cluster.inter_node.reset();
  return cluster;
}

double OpMicroseconds(const cluster::Cluster& cluster, const std::string& key) {
  const auto op = ir::ParseOpSignature(key);
  const auto estimate = AnalyticEstimator(cluster).EstimateOp(*op);
  HELM_CHECK(estimate.ok(), estimate.status().message().c_str());
  EXPECT_EQ(estimate->source, Source::kAnalytic);
  return estimate->duration.microseconds();
}

double CollectiveMicroseconds(const cluster::Cluster& cluster, const std::string& key) {
  const auto collective = ir::ParseCollectiveSignature(key);
  const auto estimate = AnalyticEstimator(cluster).EstimateCollective(*collective);
  HELM_CHECK(estimate.ok(), estimate.status().message().c_str());
  return estimate->duration.microseconds();
}

// 2 * 1000^3 FLOPs at 1 TFLOP/s: 2000 us; its 12 MB would take only 120 us.
TEST(Analytic, LargeProductIsBoundByItsFlops) { EXPECT_DOUBLE_EQ(OpMicroseconds(Gpus(), "aten.mm(f32[1000,1000], f32[1000,1000])"), 2000); }

// [1000,1] x [1,1000]: 2 MFLOP would take 2 us; reads 8 KB, writes 4 MB: 40.08 us.
TEST(Analytic, ThinProductIsBoundByItsBytes) { EXPECT_DOUBLE_EQ(OpMicroseconds(Gpus(), "aten.mm(f32[1000,1], f32[1,1000])"), 40.08); }

// A kernel costs a Python framework more host time than HELM's interpreter: 46 us against 0.8 + 4.
TEST(Analytic, HostCostsDependOnWhoLaunches) {
  EXPECT_DOUBLE_EQ(AnalyticEstimator(Gpus()).EstimateHost()->per_op.microseconds(), 4.8);
  EXPECT_DOUBLE_EQ(AnalyticEstimator(Gpus(), HostThread::kPython).EstimateHost()->per_op.microseconds(), 46);
  EXPECT_TRUE(AnalyticEstimator(Gpus(), HostThread::kPython).EstimateHost()->for_each_kernel);
  // Waiting for a collective: the dispatcher and one call of CUDA, 0.8 + 4.
  EXPECT_DOUBLE_EQ(AnalyticEstimator(Gpus(), HostThread::kPython).EstimateHost()->per_wait.microseconds(), 4.8);
  EXPECT_FALSE(AnalyticEstimator(Gpus()).EstimateHost()->for_each_kernel);
  cluster::Cluster slow = Gpus();
  slow.device.host_slowdown = 2;
  EXPECT_DOUBLE_EQ(AnalyticEstimator(slow, HostThread::kPython).EstimateHost()->per_op.microseconds(), 2 * 46);
  EXPECT_DOUBLE_EQ(AnalyticEstimator(slow).EstimateHost()->per_collective.microseconds(), 2 * 10);
  EXPECT_EQ(HostThreadOf({.framework = "helm"}), HostThread::kInterpreter);
  EXPECT_EQ(HostThreadOf({.framework = "nanotron"}), HostThread::kPython);
  EXPECT_EQ(HostThreadOf({.framework = "maxtext", .compile = true}), HostThread::kInterpreter);
  EXPECT_DOUBLE_EQ(AnalyticEstimator(Cpu(2), HostThread::kPython).EstimateHost()->per_op.microseconds(), 0.8);
}

// Reads and writes 4 MB each at 100 GB/s.
TEST(Analytic, PointwiseOpIsBoundByItsBytes) { EXPECT_DOUBLE_EQ(OpMicroseconds(Gpus(), "aten.neg(f32[1000000])"), 80); }

// 1000 rows of 100 floats are read and written, 800 KB, whatever the size of the table.
TEST(Analytic, LookupMovesItsRows) { EXPECT_DOUBLE_EQ(OpMicroseconds(Gpus(), "aten.embedding(@f32[50000,100], i64[1000]<50000)"), 8); }

TEST(Analytic, RanksOfACpuShareItsRates) {
  EXPECT_DOUBLE_EQ(OpMicroseconds(Cpu(4), "aten.neg(f32[1000000])"), 4 * 80);
  EXPECT_DOUBLE_EQ(OpMicroseconds(Cpu(4), "aten.mm(f32[1000,1000], f32[1000,1000])"), 4 * 2000);
}

// 400 MB over 4 ranks at 100 GB/s, protocol Simple: 8.4 + 2 * 3 * (3.4 + 1000) us. LL128 has 0.92 of the bandwidth and would take longer.
TEST(Analytic, LargeReductionUsesTheProtocolWithFullBandwidth) {
  EXPECT_NEAR(CollectiveMicroseconds(Gpus(), "all_reduce f32 ranks=4 per_node=4 bytes=400000000"), 6028.8, 1e-6);
}

// 4 KB, protocol LL: 6.6 + 2 * 3 * (0.6 + 1000 / 50e3) us.
TEST(Analytic, SmallReductionUsesTheProtocolWithLeastLatency) {
  EXPECT_NEAR(CollectiveMicroseconds(Gpus(), "all_reduce f32 ranks=4 per_node=4 bytes=4000"), 10.32, 1e-6);
}

// One rank a node in each of eight groups: each has 4 NICs / 8 GPUs of 50 GB/s = 25 GB/s. 8.4 + 1 * (5 + 200e6 / 25e3) us. A group that is
// alone has a NIC to itself, no more: 8.4 + 5 + 200e6 / 50e3; four groups, as many as NICs, have one each as well.
TEST(Analytic, NicsAreSharedByTheGroupsOfANode) {
  EXPECT_NEAR(CollectiveMicroseconds(Gpus(), "all_gather f32 ranks=2 per_node=1 groups=8 bytes=400000000"), 8013.4, 1e-6);
  EXPECT_NEAR(CollectiveMicroseconds(Gpus(), "all_gather f32 ranks=2 per_node=1 bytes=400000000"), 4013.4, 1e-6);
  EXPECT_NEAR(CollectiveMicroseconds(Gpus(), "all_gather f32 ranks=2 per_node=1 groups=4 bytes=400000000"), 4013.4, 1e-6);
}

// A message of 100 MB: inside the node over NVLink, 8.4 + 3.4 + 1000 us; between nodes beside seven others through half a NIC, 8.4 + 5 +
// 4000 us.
TEST(Analytic, MessagesGoOverTheLinkBetweenTheirEnds) {
  EXPECT_NEAR(CollectiveMicroseconds(Gpus(), "send bf16 ranks=2 per_node=2 bytes=100000000"), 1011.8, 1e-6);
  EXPECT_NEAR(CollectiveMicroseconds(Gpus(), "send bf16 ranks=2 per_node=1 groups=8 bytes=100000000"), 4013.4, 1e-6);
}

// A rack of two trays of four GPUs that NVLink connects: a group of eight uses no NIC.
TEST(Analytic, ARackIsOneNode) {
  cluster::Cluster cluster = Gpus();
  cluster.devices_per_node = 4;
  cluster.nvlink_domain = 8;
  // As LargeReduction, over 8 ranks: 8.4 + 2 * 7 * (3.4 + 500).
  EXPECT_NEAR(CollectiveMicroseconds(cluster, "all_reduce f32 ranks=8 per_node=8 bytes=400000000"), 7056, 1e-6);
  // Two racks: 8 cards of 50 GB/s serve 8 GPUs, 50 GB/s each: 8.4 + 7 * (3.4 + 50e6 / 100e3) + 1 * (5 + 25e6 / 50e3).
  cluster.inter_node->nics = 4;
  EXPECT_NEAR(CollectiveMicroseconds(cluster, "all_gather f32 ranks=16 per_node=8 bytes=400000000"), 8.4 + 7 * 503.4 + 505, 1e-6);
}

// NCCL's model of 8 H100 behind switches: 1 MiB with LL takes 6.6 + 14 * 0.6 + 1048576 / (141e3 * 8 / 14) = 28.0 us
// (tests/cost/nccl_tuner_test.cc).
TEST(Analytic, SwitchedGpusHaveNcclsOwnModel) {
  cluster::Cluster cluster = Gpus();
  cluster.device.architecture = "hopper";
  cluster.intra_node->bandwidth = BytesPerSecond::Gigabytes(450);
  EXPECT_NEAR(CollectiveMicroseconds(cluster, "all_reduce bf16 ranks=8 per_node=8 bytes=1048576"), 28.0, 0.05);
}

// Links of 100 GB/s: a gather over 8 ranks of 800 MB, Simple: 8.4 + 7 * 3.4 + 800e6 / (100e3 * 8 / 7) us.
TEST(Analytic, SwitchedGpusWithFewerLinksAreSlower) {
  cluster::Cluster cluster = Gpus();
  cluster.device.architecture = "hopper";
  EXPECT_NEAR(CollectiveMicroseconds(cluster, "all_gather bf16 ranks=8 per_node=8 bytes=800000000"), 32.2 + 7000, 0.01);
}

// Two ranks have 50 GB/s each, a byte passes memory four times: 12.5 GB/s; 2 * 1 * 4 MB. And 2 * 1 messages of 7 us, which are all that one
// number takes.
TEST(Analytic, CpuRanksTalkThroughMemory) {
  EXPECT_NEAR(CollectiveMicroseconds(Cpu(2), "all_reduce f32 ranks=2 per_node=2 bytes=8000000"), 640 + 14, 1e-6);
  EXPECT_NEAR(CollectiveMicroseconds(Cpu(2), "all_reduce f32 ranks=2 per_node=2 bytes=4"), 14, 1e-3);
}

struct MissingCase {
  std::string name;
  cluster::Cluster cluster;
  std::string key;
  std::string expected;
};

class MissingNumbers : public testing::TestWithParam<MissingCase> {};

cluster::Cluster Without(void (*change)(cluster::Cluster&)) {
  cluster::Cluster cluster = Gpus();
  change(cluster);
  return cluster;
}

TEST_P(MissingNumbers, AreNamed) {
  const AnalyticEstimator estimator(GetParam().cluster);
  const auto op = ir::ParseOpSignature(GetParam().key);
  const auto collective = ir::ParseCollectiveSignature(GetParam().key);
  const auto estimate = op.ok() ? estimator.EstimateOp(*op) : estimator.EstimateCollective(*collective);
  EXPECT_EQ(estimate.status().message(), GetParam().key + ": " + GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, MissingNumbers,
    testing::Values(
        MissingCase{"PeakRate", Gpus(), "aten.mm(bf16[8,8], bf16[8,8])",
                    "device 'test gpu' of the cluster description has no peak rate for bf16 (peak_tflops)"},
        MissingCase{"MemoryBandwidth", Without([](auto& cluster) { cluster.device.memory_bandwidth.reset(); }), "aten.neg(f32[8])",
                    "device 'test gpu' of the cluster description has no memory bandwidth (memory_gbytes_per_s)"},
        MissingCase{"IntraNode", Without([](auto& cluster) { cluster.intra_node.reset(); }), "all_reduce f32 ranks=2 per_node=2 bytes=8",
                    "the cluster description has no intra_node link"},
        MissingCase{"InterNode", Without([](auto& cluster) { cluster.inter_node.reset(); }), "all_reduce f32 ranks=2 per_node=1 bytes=8",
                    "the cluster description has no inter_node link"},
        MissingCase{"CpuMachines", Cpu(2), "all_reduce f32 ranks=4 per_node=2 bytes=8", "no formula for CPU ranks of several machines"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace helm::cost
