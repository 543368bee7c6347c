// Objectives that ask how many GPUs to use, against the best plan of each part of the cluster.
#include "planner/size_search.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "random_config.h"

namespace helm::planner {
namespace {

config::RunConfig EightGpus() {
  config::RunConfig config = SmallGpuConfig(8);
  config.strategy_given = {"pipeline", "context", "overlap"};
  config.search.tokens = 96e6;  // 10^6 steps
  return config;
}

Result<EstimatorFactory> Estimators(const cluster::Cluster&) { return BytesEstimatorFactory(); }

// The oracle: a search for each part.
std::vector<TrainingRun> Runs(const config::RunConfig& config) {
  std::vector<TrainingRun> runs;
  for (const int64_t gpus : PartsOf(config.cluster)) {
    config::RunConfig part = config;
    part.cluster.devices_used = gpus;
    const auto result = Search(part, BytesEstimatorFactory(), {});
    HELM_CHECK(result.ok(), result.status().message().c_str());
    runs.push_back(TrainingRunOf(part, result->best.prediction));
  }
  return runs;
}

TEST(SizeSearch, PartsArePowersOfTwoOfDevicesAndNodes) {
  cluster::Cluster cluster = EightGpus().cluster;
  EXPECT_THAT(PartsOf(cluster), testing::ElementsAre(1, 2, 4, 8));
  cluster.devices_used = 24;
  EXPECT_THAT(PartsOf(cluster), testing::ElementsAre(1, 2, 4, 8, 16, 24));
  cluster.devices_used = 3;
  EXPECT_THAT(PartsOf(cluster), testing::ElementsAre(1, 2, 3));
  cluster.devices_used = 1;
  EXPECT_THAT(PartsOf(cluster), testing::ElementsAre(1));
}

TEST(SizeSearch, FindsTheMostTokensASecondAndGpu) {
  config::RunConfig config = EightGpus();
  config.search.objective = config::Objective::kTokensPerSecondPerGpu;
  const auto found = SearchSizes(config, Estimators, {});
  ASSERT_TRUE(found.ok()) << found.status().message();
  const TrainingRun chosen = TrainingRunOf(found->config, found->chosen.best.prediction);
  EXPECT_EQ(found->parts.size(), 4U);
  for (const TrainingRun& run : Runs(config)) {
    EXPECT_GE(chosen.tokens_per_s / static_cast<double>(chosen.gpus), run.tokens_per_s / static_cast<double>(run.gpus)) << run.gpus;
  }
  EXPECT_EQ(found->chosen.best.plan.strategy.world_size(), chosen.gpus);
  EXPECT_EQ(std::ranges::count(found->parts, "", &ClusterPart::reason), 1);
}

// A failure of any of them stops all: where GPUs fail often, fewer are cheaper than where they do not, or as cheap.
TEST(SizeSearch, CostCountsFailures) {
  config::RunConfig config = EightGpus();
  config.search.objective = config::Objective::kCost;
  config.search.price_per_gpu_hour = 2;
  const auto calm = SearchSizes(config, Estimators, {});
  config.search.failures = config::Failures{0.01, 5, 5};
  const auto failing = SearchSizes(config, Estimators, {});
  ASSERT_TRUE(calm.ok() && failing.ok());
  for (const TrainingRun& run : Runs(config)) {
    EXPECT_LE(*TrainingRunOf(failing->config, failing->chosen.best.prediction).cost_of_1e9_tokens, *run.cost_of_1e9_tokens);
  }
  EXPECT_LE(failing->config.cluster.devices_used, calm->config.cluster.devices_used);
}

// 4 steps of two nodes between 8 and 16; 1 GPU at a time inside a node; nothing between neighbours.
TEST(SizeSearch, PartsBetweenAreOfWholeNodes) {
  cluster::Cluster cluster = EightGpus().cluster;
  EXPECT_THAT(PartsBetween(cluster, 4, 8), testing::ElementsAre(5, 6, 7));
  EXPECT_THAT(PartsBetween(cluster, 1, 2), testing::ElementsAre());
  EXPECT_THAT(PartsBetween(cluster, 64, 128), testing::ElementsAre(80, 96, 112));
  EXPECT_THAT(PartsBetween(cluster, 8, 16), testing::ElementsAre());
  EXPECT_THAT(PartsBetween(cluster, 16, 32), testing::ElementsAre(24));
  EXPECT_THAT(PartsBetween(cluster, 8, 12), testing::ElementsAre());  // the last part need not be of whole nodes
  EXPECT_THAT(PartsBetween(cluster, 16, 20), testing::ElementsAre());
  EXPECT_THAT(PartsBetween(cluster, 64, 104), testing::ElementsAre(80, 96));  // 5 nodes in steps of two
}

// As many GPUs as the deadline needs: each smaller part misses it, and those between the last that does and the next are searched too.
TEST(SizeSearch, FindsTheFewestGpusForADeadline) {
  config::RunConfig config = EightGpus();
  config.search.objective = config::Objective::kGpus;
  config.workload.global_batch = 24;  // so that three and six GPUs share it
  config.search.tokens = 288e6;
  for (const TrainingRun& run : Runs(config)) {
    config.search.deadline_days = run.days;
    const auto found = SearchSizes(config, Estimators, {});
    ASSERT_TRUE(found.ok()) << found.status().message();
    EXPECT_LE(found->config.cluster.devices_used, run.gpus);
    EXPECT_TRUE(std::ranges::is_sorted(found->parts, {}, &ClusterPart::gpus));
    for (const ClusterPart& part : found->parts) {
      const bool fewer = part.gpus < found->config.cluster.devices_used, chosen = part.gpus == found->config.cluster.devices_used;
      EXPECT_TRUE(!fewer || !part.best || part.run.days > run.days) << part.gpus;
      EXPECT_TRUE(!chosen || part.run.days <= run.days) << part.gpus;
    }
  }
}

// Six GPUs for a deadline that four miss and that six meet with a tenth to spare.
TEST(SizeSearch, FindsAPartBetweenPowersOfTwo) {
  config::RunConfig config = EightGpus();
  config.search.objective = config::Objective::kGpus;
  config.workload.global_batch = 24;
  config.search.tokens = 288e6;
  config::RunConfig six = config;
  six.cluster.devices_used = 6;
  const auto of_six = Search(six, BytesEstimatorFactory(), {});
  ASSERT_TRUE(of_six.ok()) << of_six.status().message();
  config.search.deadline_days = 1.1 * TrainingRunOf(six, of_six->best.prediction).days;
  ASSERT_GT(Runs(config)[2].days, config.search.deadline_days);
  const auto found = SearchSizes(config, Estimators, {});
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->config.cluster.devices_used, 6);
  EXPECT_EQ(found->parts.back().reason, "more GPUs");
}

TEST(SizeSearch, ADeadlineThatNoPartMeetsNamesTheFastest) {
  config::RunConfig config = EightGpus();
  config.search.objective = config::Objective::kGpus;
  config.search.deadline_days = 1e-9;
  const auto found = SearchSizes(config, Estimators, {});
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.status().code(), StatusCode::kInfeasible);
  EXPECT_THAT(found.status().message(), testing::HasSubstr("no plan trains 9.6e+07 tokens within the deadline of 1e-09 days"));
  EXPECT_THAT(found.status().message(), testing::HasSubstr("fix: more devices, a later deadline"));
}

// Degrees that fix four devices: other parts have no plan, and say so.
TEST(SizeSearch, PartsWithoutAPlanAreNotChosen) {
  config::RunConfig config = EightGpus();
  config.search.objective = config::Objective::kTokensPerSecondPerGpu;
  config.strategy.data = 2;
  config.strategy.tensor = 2;
  config.strategy_given = {"pipeline", "context", "overlap", "data", "tensor"};
  const auto found = SearchSizes(config, Estimators, {});
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->config.cluster.devices_used, 4);
  EXPECT_EQ(found->parts[0].reason, "no plan was found");
}

TEST(SizeSearch, ThreadsFindTheSamePart) {
  config::RunConfig config = EightGpus();
  config.search.objective = config::Objective::kTokensPerSecondPerGpu;
  const auto one = SearchSizes(config, Estimators, {}), many = SearchSizes(config, Estimators, {.threads = 3});
  ASSERT_TRUE(one.ok() && many.ok());
  EXPECT_EQ(one->chosen.best.plan.program_hash, many->chosen.best.plan.program_hash);
  EXPECT_EQ(one->config.cluster.devices_used, many->config.cluster.devices_used);
}

// GPUs that fail every 3.6 s, with checkpoints of ten minutes: e^(6000 / 3.6) restarts for each that works.
TEST(SizeSearch, ARunWithoutProgressIsNoPlan) {
  config::RunConfig config = EightGpus();
  config.search.objective = config::Objective::kCost;
  config.search.price_per_gpu_hour = 2;
  config.search.failures = config::Failures{0.001, 600, 6000};
  const auto found = SearchSizes(config, Estimators, {});
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.status().code(), StatusCode::kInfeasible);
  EXPECT_NE(found.status().message().find("search.failures"), std::string::npos) << found.status().message();
}

}  // namespace
}  // namespace helm::planner
