#include "cost/chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace helm::cost {
namespace {

cluster::Cluster TwoRanks() {
  cluster::Cluster cluster;
  cluster.device.name = "test cpu";
  cluster.device.is_cpu = true;
  cluster.device.memory_bandwidth = BytesPerSecond::Gigabytes(20);
  cluster.local = true;
  cluster.devices_per_node = 2;
  cluster.devices_used = 2;
  cluster.cpu_cores = 8;  // 4 threads a rank
  return cluster;
}

CostTable Table() {
  CostTable table;
  table.device = {"cpu", "test cpu", 4, 2};
  const Duration median = Duration::Microseconds(1);
  table.ops["aten.neg(f32[1000])"] = {median, median, median, 9, Bytes(), median};
  table.host = HostMeasurement{Duration::Microseconds(1), Duration(), Duration()};
  return table;
}

Result<Estimate> Ask(const ChainEstimator& chain, const std::string& key) { return chain.EstimateOp(*ir::ParseOpSignature(key)); }

std::unique_ptr<ChainEstimator> Make(const ChainOptions& options = {}) {
  auto chain = MakeEstimator(TwoRanks(), {Table()}, options);
  HELM_CHECK(chain.ok(), chain.status().message().c_str());
  return std::move(chain).value();
}

TEST(Chain, AFrameworkSaysHowItsHostAndItsAttentionRun) {
  EXPECT_EQ(ChainOptionsOf({.framework = "helm"}), ChainOptions{});
  ir::Software software{.framework = "megatron-deepspeed"};
  software.launch_blocking = software.pipeline_sync = software.gradient_norm_sync = true;
  software.attention_kernel = ir::AttentionKernel::kCudnn;
  software.deterministic = true;
  const ChainOptions options = ChainOptionsOf(software);
  EXPECT_EQ(options.host, HostThread::kPython);
  EXPECT_EQ(options.attention, AttentionKernel::kNative);
  EXPECT_TRUE(options.deterministic);
  const auto host = Make(options)->EstimateHost();
  EXPECT_TRUE(host->blocking && host->waits_for_messages && host->waits_for_norm);
  EXPECT_FALSE(Make()->EstimateHost()->blocking);
  software.cuda_graphs = true;
  EXPECT_EQ(ChainOptionsOf(software).host, HostThread::kInterpreter);
  software.pipeline_overlap = ir::PipelineOverlap::kInterleaved;
  EXPECT_FALSE(ChainOptionsOf(software).pipeline_sync);
}

// 10 beside 10, each of which then takes 12.5: 0.2 of their rates are lost. On a CPU no formula says anything.
TEST(Chain, OverlapIsThatOfMeasuredPairs) {
  EXPECT_EQ(Make()->EstimateOverlap({}), OverlapLosses());
  CostTable table = Table();
  const Duration alone = Duration::Microseconds(10), beside = Duration::Microseconds(12.5);
  table.pairs["aten.neg(f32[1000]) beside all_reduce f32 ranks=2 per_node=2 bytes=8"] = {1, 1, alone, alone, beside, beside, 9};
  const auto chain = MakeEstimator(TwoRanks(), {table});
  ASSERT_TRUE(chain.ok()) << chain.status().message();
  const OverlapLosses losses = (*chain)->EstimateOverlap({});
  EXPECT_DOUBLE_EQ(losses.inside.memory_bound, 0.2);
  EXPECT_EQ(losses.measured_pairs, 1);
  const std::vector<std::string> warnings = Warnings(TwoRanks(), {table});
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_THAT(warnings[0], testing::StartsWith("other kernels beside collectives within a node: measured, 1 pair:"));
  EXPECT_THAT(warnings[1], testing::StartsWith("modelled, since no pair of their kind was measured: matrix products"));
}

TEST(Chain, AsksMeasuredThenInterpolatedThenAnalytic) {
  const auto chain = Make();
  EXPECT_EQ(Ask(*chain, "aten.neg(f32[1000])")->source, Source::kMeasured);
  EXPECT_EQ(Ask(*chain, "aten.neg(f32[2000])")->source, Source::kInterpolated);
  EXPECT_EQ(Ask(*chain, "aten.neg(f32[9000])")->source, Source::kAnalytic);
  // Data sheet: 36000 bytes read, as many written, at half of 20 GB/s.
  EXPECT_EQ(Ask(*chain, "aten.neg(f32[9000])")->duration, Duration::Microseconds(7.2));
}

// Gloo copies all of the tensor to gather or to scatter it, measured or not; it reduces in place.
TEST(Chain, CpuCollectivesHoldWhatGlooCopies) {
  CostTable table = Table();
  table.collectives["all_gather f32 ranks=2 per_node=2 bytes=800"] = {Duration::Microseconds(9), Duration::Microseconds(9),
                                                                      Duration::Microseconds(9), 5};
  const auto chain = MakeEstimator(TwoRanks(), {table}).value();
  const auto workspace = [&](const std::string& key) { return chain->EstimateCollective(*ir::ParseCollectiveSignature(key))->workspace; };
  EXPECT_EQ(workspace("all_gather f32 ranks=2 per_node=2 bytes=800"), Bytes(800));
  EXPECT_EQ(workspace("reduce_scatter f32 ranks=2 per_node=2 bytes=4000"), Bytes(4000));
  EXPECT_EQ(workspace("all_reduce f32 ranks=2 per_node=2 bytes=4000"), Bytes());
}

TEST(Chain, RemembersWhatItWasAskedAndWhy) {
  const auto chain = Make();
  for (const char* key : {"aten.neg(f32[2000])", "aten.neg(f32[1000])", "aten.neg(f32[2000])", "aten.mm(f32[8,8], f32[8,8])"}) {
    (void)Ask(*chain, key);
  }
  const Coverage expected{
      {{"aten.neg(f32[1000])", Source::kMeasured}, {"aten.neg(f32[2000])", Source::kInterpolated}},
      {{"aten.mm(f32[8,8], f32[8,8])",
        "aten.mm(f32[8,8], f32[8,8]): device 'test cpu' of the cluster description has no peak rate for f32 (peak_tflops)"}}};
  EXPECT_EQ(chain->coverage(), expected);
  EXPECT_EQ(chain->coverage().Count(Source::kInterpolated), 1);
}

TEST(Chain, RequireMeasuredRefusesEverythingElse) {
  const auto chain = Make({.require_measured = true});
  EXPECT_TRUE(Ask(*chain, "aten.neg(f32[1000])").ok());
  EXPECT_EQ(Ask(*chain, "aten.neg(f32[2000])").status().message(),
            "aten.neg(f32[2000]): not measured, and only measured costs are allowed");
  EXPECT_TRUE(chain->EstimateHost().ok());
  (void)Ask(*chain, "aten.mm(f32[8,8], f32[8,8])");
  EXPECT_EQ(chain->CheckMeasured().message(),
            "error: 2 costs are not measured; measure them with helm-profile:\n  aten.neg(f32[2000]) (interpolated)\n"
            "  aten.mm(f32[8,8], f32[8,8]) (unknown)");
}

TEST(Chain, AllMeasuredIsOk) {
  const auto chain = Make();
  (void)Ask(*chain, "aten.neg(f32[1000])");
  EXPECT_TRUE(chain->CheckMeasured().ok());
}

TEST(Chain, TableOfAnotherDeviceIsRefused) {
  CostTable table = Table();
  table.device.ranks_per_machine = 4;
  table.file = "ops.json";
  const auto chain = MakeEstimator(TwoRanks(), {Table(), table}, {});
  ASSERT_FALSE(chain.ok());
  EXPECT_EQ(chain.status().code(), StatusCode::kInvalid);
  EXPECT_EQ(chain.status().message(),
            "ops.json:1:1: error: the table was measured on cpu 'test cpu' with 4 ranks of 4 threads, the cluster is cpu 'test cpu' with 2 "
            "ranks of 4 threads; a table holds for its own device only: measure this one with helm-profile");
}

TEST(Chain, LaterTablesReplaceRowsOfEarlierOnes) {
  CostTable newer = Table();
  newer.host.reset();
  newer.ops["aten.neg(f32[1000])"].median = Duration::Microseconds(5);
  const auto chain = MakeEstimator(TwoRanks(), {Table(), newer}, {});
  ASSERT_TRUE(chain.ok());
  EXPECT_EQ(Ask(**chain, "aten.neg(f32[1000])")->duration, Duration::Microseconds(5));
  EXPECT_EQ((*chain)->EstimateHost()->source, Source::kMeasured);  // of the first table
}

TEST(Chain, TableOfAGpuHoldsForAnyNumberOfRanks) {
  EXPECT_TRUE(SameDevice({"cuda", "NVIDIA H200", 1, 1}, {"cuda", "NVIDIA H200", 1, 8}));
  EXPECT_FALSE(SameDevice({"cuda", "NVIDIA H200", 1, 1}, {"cuda", "NVIDIA H100", 1, 1}));
}

TEST(Warnings, SayWhatIsNotMeasured) {
  EXPECT_THAT(Warnings(TwoRanks(), {}),
              testing::ElementsAre(testing::StartsWith("nothing was measured on cpu 'test cpu' with 2 ranks of 4")));
  EXPECT_THAT(Warnings(TwoRanks(), {Table()}), testing::IsEmpty());
  CostTable no_host = Table();
  no_host.host.reset();
  EXPECT_THAT(Warnings(TwoRanks(), {no_host}), testing::ElementsAre(testing::StartsWith("no cost table holds the launch costs")));
}

}  // namespace
}  // namespace helm::cost
