// What the allocator keeps and what lies outside it decides whether a plan runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "core/text.h"
#include "planner/search.h"
#include "planner_fixture.h"
#include "random_config.h"

namespace helm::planner {
namespace {

config::RunConfig OnFourGpus() {
  config::RunConfig config = SmallGpuConfig(4);
  config.search.forbid = {{{{"pipeline", "2"}}}, {{{"pipeline", "4"}}}, {{{"overlap", "helix"}}}, {{{"overlap", "lattice"}}}};
  return config;
}

// Groups of four are far slower than two groups of two, which take more of NCCL's buffers.
class SlowLargeGroups final : public BytesEstimator {
 public:
  Result<cost::Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override {
    HELM_ASSIGN_OR_RETURN(cost::Estimate estimate, BytesEstimator::EstimateCollective(collective));
    if (collective.ranks > 2) estimate.duration = Duration::Picoseconds(100 * estimate.duration.picoseconds());
    return estimate;
  }
};

EstimatorFactory Prices() {
  return []() -> Result<std::unique_ptr<cost::Estimator>> { return std::unique_ptr<cost::Estimator>(new SlowLargeGroups()); };
}

Bytes TakenBy(const config::RunConfig& config, const ir::Strategy& strategy) {
  const auto evaluation = Evaluate(MakePlan(config, strategy), config.model, config.cluster, SlowLargeGroups(), {.replay_allocator = true});
  EXPECT_TRUE(evaluation.ok()) << evaluation.status().message();
  return evaluation->prediction.tightest->taken;
}

TEST(ReservesTooMuch, ComparesWithWhatTheDeviceHas) {
  Prediction prediction;
  EXPECT_FALSE(ReservesTooMuch(prediction));  // it was not replayed
  prediction.memory_bytes_reserved = Bytes(70);
  prediction.tightest = {3, Bytes(100), Bytes(100)};
  EXPECT_FALSE(ReservesTooMuch(prediction));
  prediction.tightest->taken = Bytes(101);
  EXPECT_TRUE(ReservesTooMuch(prediction));
  EXPECT_THAT(ToText(prediction), testing::HasSubstr("MAY RUN OUT: rank 3 takes 101 B of the device's 100 B;"));
}

// The first stage allocates most, since it keeps the most micro-batches; the inner one has messages to both sides and buffers for them.
TEST(ReservesTooMuch, TheRankWithLeastLeftMayBeAnotherThanTheFullest) {
  config::RunConfig config = OnFourGpus();
  config.search.forbid.clear();
  config.strategy.pipeline = 4;
  config.strategy.schedule = "1f1b";
  config.model.layers = 4;
  const auto evaluation =
      Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, SlowLargeGroups(), {.replay_allocator = true});
  ASSERT_TRUE(evaluation.ok()) << evaluation.status().message();
  const Prediction& prediction = evaluation->prediction;
  EXPECT_EQ(prediction.rank_of_peak, 0);
  EXPECT_EQ(prediction.tightest->rank, 1);
  EXPECT_GT(prediction.tightest->taken, *prediction.memory_bytes_reserved + prediction.outside.total());
}

// A device that has just what the smallest of the slower plans takes, NCCL's buffers for one group among it, and not what the fastest does.
TEST(ReservesTooMuch, TheSearchTakesTheFastestPlanThatDoesNot) {
  config::RunConfig config = OnFourGpus();
  const auto roomy = Search(config, Prices(), {});
  ASSERT_TRUE(roomy.ok()) << roomy.status().message();
  const Bytes of_fastest = TakenBy(config, roomy->best.plan.strategy);
  std::optional<Bytes> least;
  for (const Candidate& candidate : roomy->ranked) {
    const Bytes taken = TakenBy(config, candidate.strategy);
    if (!least || taken < *least) least = taken;
  }
  ASSERT_LT(*least, of_fastest);
  config.cluster.device.memory = *least;
  const auto tight = Search(config, Prices(), {});
  ASSERT_TRUE(tight.ok()) << tight.status().message();
  EXPECT_FALSE(ReservesTooMuch(tight->best.prediction));
  EXPECT_EQ(tight->best.plan.strategy, tight->ranked.front().strategy);
  const auto aside = std::ranges::find(tight->unfit, roomy->best.plan.strategy, &Candidate::strategy);
  ASSERT_NE(aside, tight->unfit.end());
  EXPECT_EQ(aside->reason, "reserved and outside the allocator it takes " + FormatBytes(of_fastest));
}

// None of the plans: the fastest stays, and its prediction tells.
TEST(ReservesTooMuch, TheFastestStaysWhereAllDo) {
  config::RunConfig config = OnFourGpus();
  config.cluster.device.memory = Bytes::Gibibytes(0.5);  // less than a CUDA context takes
  const auto result = Search(config, Prices(), {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_TRUE(ReservesTooMuch(result->best.prediction));
  EXPECT_EQ(result->best.plan.strategy, Search(OnFourGpus(), Prices(), {})->best.plan.strategy);
}

}  // namespace
}  // namespace helm::planner
