#include "planner/search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include <fmt/format.h>

#include "model/model_spec.h"
#include "planner/memory_bound.h"
#include "planner_fixture.h"
#include "random_config.h"

namespace helm::planner {
namespace {

Prediction Priced(const config::RunConfig& config, const ir::Strategy& strategy) {
  const BytesEstimator estimator;
  auto evaluation = Evaluate(MakePlan(config, strategy), config.model, config.cluster, estimator, {.record_timeline = false});
  EXPECT_TRUE(evaluation.ok()) << evaluation.status().message();
  return evaluation->prediction;
}

// Collectives that take several times what computing does.
class SlowCollectives final : public BytesEstimator {
 public:
  Result<cost::Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override {
    HELM_ASSIGN_OR_RETURN(cost::Estimate estimate, BytesEstimator::EstimateCollective(collective));
    estimate.duration = Duration::Picoseconds(20 * estimate.duration.picoseconds());
    return estimate;
  }
};

// The oracle: price every candidate one by one and take the smallest.
TEST(SearchTest, FindsTheFastestOfTheSpace) {
  const config::RunConfig config = SmallConfig(4);
  const auto result = Search(config, BytesEstimatorFactory(), {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  const Space space = EnumerateStrategies(config);
  EXPECT_EQ(result->ranked.size() + result->bounded.size(), space.candidates.size());
  EXPECT_FALSE(result->bounded.empty());
  for (const ir::Strategy& strategy : space.candidates) {
    EXPECT_LE(result->best.prediction.step_time, Priced(config, strategy).step_time) << ir::Describe(strategy);
  }
  EXPECT_TRUE(result->complete);
  EXPECT_EQ(result->best.plan.strategy, result->ranked.front().strategy);
}

// What tiles hide does not count in the least that a step takes, also where the configuration asks for them.
TEST(SearchTest, FindsTheFastestOfTiledSteps) {
  config::RunConfig config = SmallGpuConfig(8);
  config.model.layers = 4;
  config.software.framework = "helm";
  config.workload.global_batch = 8;
  config.strategy.tensor = 2;
  config.strategy.sequence_parallel = true;
  config.strategy.overlap = "lattice";
  config.strategy.zero = 1;
  config.strategy_given = {"tensor", "sequence_parallel", "overlap", "zero", "recompute"};
  config.search.time_limit_s = 1e9;  // all of the space, under sanitizers too
  const auto slow = [] { return Result<std::unique_ptr<cost::Estimator>>(std::make_unique<SlowCollectives>()); };
  const auto result = Search(config, slow, {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  const SlowCollectives estimator;
  int64_t compared = 0;
  for (const ir::Strategy& strategy : EnumerateStrategies(config).candidates) {
    const auto evaluation = Evaluate(MakePlan(config, strategy), config.model, config.cluster, estimator, {.record_timeline = false});
    if (!evaluation.ok() || !evaluation->prediction.fits) continue;
    EXPECT_LE(result->best.prediction.step_time, evaluation->prediction.step_time) << ir::Describe(strategy);
    ++compared;
  }
  EXPECT_GT(compared, 8);
}

TEST(SearchTest, RanksAllAndSaysWhyEachLost) {
  const auto result = Search(SmallConfig(2), BytesEstimatorFactory(), {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->ranked.front().reason, "");
  for (size_t i = 1; i < result->ranked.size(); ++i) {
    EXPECT_LE(result->ranked[i - 1].prediction.step_time, result->ranked[i].prediction.step_time);
    EXPECT_FALSE(result->ranked[i].reason.empty());
  }
}

// Candidates are composed of templates; what is reported of the best is the step written out, and it is the same.
TEST(SearchTest, LeadersAreWrittenOut) {
  const config::RunConfig config = SmallConfig(4);
  const auto result = Search(config, BytesEstimatorFactory(), {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->ranked.front().written_out_because, "among the fastest");
  EXPECT_EQ(result->ranked.back().written_out_because, "");
  for (const Candidate& candidate : result->ranked) {
    const Prediction written_out = Priced(config, candidate.strategy);
    EXPECT_EQ(candidate.prediction.step_time, written_out.step_time) << ir::Describe(candidate.strategy);
    EXPECT_EQ(candidate.prediction.memory_bytes_peak, written_out.memory_bytes_peak) << ir::Describe(candidate.strategy);
  }
}

TEST(SearchTest, ParetoFrontGetsSmallerAsItGetsSlower) {
  const auto result = Search(SmallConfig(4), BytesEstimatorFactory(), {});
  ASSERT_TRUE(result.ok());
  ASSERT_FALSE(result->pareto.empty());
  EXPECT_EQ(result->pareto.front(), 0u);
  // No ranked plan beats a plan of the front in both.
  for (size_t index : result->pareto) {
    const Prediction& on_front = result->ranked[index].prediction;
    for (const Candidate& other : result->ranked) {
      EXPECT_FALSE(other.prediction.step_time < on_front.step_time && other.prediction.memory_bytes_peak < on_front.memory_bytes_peak);
    }
  }
}

TEST(SearchTest, DoesNotDependOnTheNumberOfThreads) {
  SearchRun three;
  three.threads = 3;
  const auto one = Search(SmallConfig(4), BytesEstimatorFactory(), {});
  const auto many = Search(SmallConfig(4), BytesEstimatorFactory(), three);
  ASSERT_TRUE(one.ok() && many.ok());
  EXPECT_EQ(one->best.plan.program_hash, many->best.plan.program_hash);
  ASSERT_EQ(one->ranked.size(), many->ranked.size());
  for (size_t i = 0; i < one->ranked.size(); ++i) {
    EXPECT_EQ(one->ranked[i].strategy, many->ranked[i].strategy);
    EXPECT_EQ(one->ranked[i].reason, many->ranked[i].reason);
  }
}

// Of half the memory of a machine that two ranks share, as search and reader of the plan see it: 1 GiB / 2 / 2.
TEST(SearchTest, ThePlanKeepsTheCapacityOfItsSearch) {
  config::RunConfig config = SmallConfig(2);
  config.search.memory_fraction = 0.5;
  const auto result = Search(config, BytesEstimatorFactory(), {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  const auto plan = ir::ParsePlan(ir::ToYaml(result->best.plan), "plan.yaml");
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  const auto evaluation = Evaluate(*plan, config.model, config.cluster, BytesEstimator(), {});
  ASSERT_TRUE(evaluation.ok()) << evaluation.status().message();
  EXPECT_EQ(evaluation->prediction.memory_bytes_capacity, Bytes(int64_t{1} << 28));
  EXPECT_EQ(result->best.prediction.memory_bytes_capacity, Bytes(int64_t{1} << 28));
}

TEST(SearchTest, NothingFitsNamesTheClosestAndWhatIsMissing) {
  config::RunConfig config = SmallConfig(2);
  config.cluster.device.memory = Bytes(100000);
  const auto result = Search(config, BytesEstimatorFactory(), {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kInfeasible);
  EXPECT_NE(result.status().message().find("closest: "), std::string::npos) << result.status().message();
  EXPECT_NE(result.status().message().find("memory binds"), std::string::npos) << result.status().message();
}

TEST(SearchTest, InterruptedBeforeAnyPlanItHasNone) {
  const std::atomic<bool> interrupted = true;
  const auto result = Search(SmallConfig(2), BytesEstimatorFactory(), {.interrupted = &interrupted});
  EXPECT_EQ(result.status().code(), StatusCode::kInterrupted);
  EXPECT_NE(result.status().message().find("interrupted before a plan was found that fits"), std::string::npos);
}

// A small step is written out in the last moment.
TEST(SearchTest, InterruptedLaterItHasTheBestSoFar) {
  const config::RunConfig config = SmallConfig(2);
  std::atomic<bool> interrupted = false;
  const SearchRun run{.interrupted = &interrupted, .progress = [&](int64_t done, int64_t) { interrupted = done == 1; }};
  const auto result = Search(config, BytesEstimatorFactory(), run);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_TRUE(result->interrupted);
  EXPECT_FALSE(result->complete);
  ASSERT_EQ(result->ranked.size(), 1u);
  EXPECT_EQ(result->best.plan.strategy, result->ranked[0].strategy);
  EXPECT_EQ(result->best_not_written_out_because, "");
  EXPECT_NE(result->best.plan.program_hash, "");
}

// Presses Ctrl-C when the search asks it for a price.
class InterruptingEstimator : public BytesEstimator {
 public:
  explicit InterruptingEstimator(std::atomic<bool>& interrupted) : interrupted_(interrupted) {}
  Result<cost::Estimate> EstimateOp(const ir::OpSignature& op) const override {
    interrupted_ = true;
    return BytesEstimator::EstimateOp(op);
  }

 private:
  std::atomic<bool>& interrupted_;
};

// All threads leave the candidate that they are at: nothing was found.
TEST(SearchTest, InterruptingThreadsStopsThemWithinACandidate) {
  std::atomic<bool> interrupted = false;
  const EstimatorFactory factory = [&]() -> Result<std::unique_ptr<cost::Estimator>> {
    return std::unique_ptr<cost::Estimator>(new InterruptingEstimator(interrupted));
  };
  const auto result = Search(SmallConfig(4), factory, {.threads = 3, .interrupted = &interrupted});
  EXPECT_EQ(result.status().code(), StatusCode::kInterrupted);
}

// Once all are simulated, the fastest are written out; interrupted there, the search keeps what it knows of the best. The estimator for
// that is the last one made.
TEST(SearchTest, InterruptedWhileTheBestIsWrittenOutItIsAsItWasFound) {
  std::atomic<bool> interrupted = false;
  int made = 0;
  const EstimatorFactory factory = [&]() -> Result<std::unique_ptr<cost::Estimator>> {
    if (++made == 1) return std::unique_ptr<cost::Estimator>(new BytesEstimator);
    return std::unique_ptr<cost::Estimator>(new InterruptingEstimator(interrupted));
  };
  const auto result = Search(SmallConfig(2), factory, {.interrupted = &interrupted});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_TRUE(result->interrupted && result->complete);
  EXPECT_EQ(result->best_not_written_out_because, "there was no time left");
  EXPECT_EQ(result->best.plan.strategy, result->ranked[0].strategy);
  EXPECT_EQ(result->best.prediction.step_time, result->ranked[0].prediction.step_time);
  EXPECT_GT(result->best.plan.prediction.step_time_s, 0);
  EXPECT_EQ(result->best.plan.program_hash, "");
  EXPECT_TRUE(result->best.simulation.timeline.ops.empty());
}

TEST(SearchTest, ATimeLimitBeforeAnyPlanIsWhatBinds) {
  config::RunConfig config = SmallConfig(2);
  config.search.time_limit_s = 1e-9;
  const auto result = Search(config, BytesEstimatorFactory(), {});
  EXPECT_EQ(result.status().code(), StatusCode::kInfeasible);
  EXPECT_NE(result.status().message().find("no plan was found within the time limit of 1e-09 s"), std::string::npos);
}

// Whichever thread meets an error when: that of the first strategy which has one.
TEST(SearchTest, TheErrorOfThreadsIsThatOfTheFirstCandidate) {
  class Refusing : public BytesEstimator {
   public:
    Result<cost::Estimate> EstimateOp(const ir::OpSignature& op) const override {
      return UnavailableError("no price of " + ir::ToText(op));
    }
  };
  const EstimatorFactory factory = []() -> Result<std::unique_ptr<cost::Estimator>> {
    return std::unique_ptr<cost::Estimator>(new Refusing);
  };
  const std::string first = Search(SmallConfig(4), factory, {}).status().message();
  EXPECT_NE(first, "");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Search(SmallConfig(4), factory, {.threads = 3}).status().message(), first);
}

// One byte less than the smallest step with whole parameters needs: none of those fits, so parameters are sharded; never where they are not
// to be.
TEST(SearchTest, ShardsParametersWhereNothingElseFits) {
  config::RunConfig config = SmallConfig(2);
  config.model.layers = 8;
  config.model.hidden = 256;
  config.model.head_dim = 256 / config.model.heads;
  config.model.ffn = 1024;  // layers that weigh more than embedding and head, which stay gathered
  config.strategy.tensor = config.strategy.pipeline = 1;
  config.strategy_given = {"tensor", "pipeline"};
  config::RunConfig whole = config;
  whole.strategy.zero = 1;
  whole.strategy_given.insert("zero");
  whole.strategy.recompute = "full";  // what is tried last
  whole.strategy_given.insert("recompute");
  const auto roomy = Search(whole, BytesEstimatorFactory(), {});
  ASSERT_TRUE(roomy.ok()) << roomy.status().message();
  Bytes least = roomy->ranked.front().prediction.memory_bytes_peak;
  for (const Candidate& candidate : roomy->ranked) least = std::min(least, candidate.prediction.memory_bytes_peak);

  config.cluster.device.memory = Bytes(2 * (least.count() - 1));  // of the machine, which both ranks share
  const auto result = Search(config, BytesEstimatorFactory(), {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  for (const Candidate& candidate : result->ranked) EXPECT_EQ(candidate.strategy.zero, 3);
  EXPECT_EQ(result->best.plan.strategy.zero, 3);
  whole.cluster.device.memory = config.cluster.device.memory;
  EXPECT_EQ(Search(whole, BytesEstimatorFactory(), {}).status().code(), StatusCode::kInfeasible);
}

// Over models with and without experts and tied embeddings, both precisions, and every strategy of two and four devices.
// Two GPUs whose collectives take ten times as long as what is computed with the same bytes, and nothing else left to choose.
config::RunConfig TwoGpusThatMostlyCommunicate() {
  config::RunConfig config = SmallConfig(2);
  config.model.layers = 4;
  cluster::Device& device = config.cluster.device;
  device.is_cpu = false;
  device.memory_bandwidth = BytesPerSecond::Gigabytes(1000);
  device.peak = {{"f32", FlopsPerSecond::Tera(100)}, {"bf16", FlopsPerSecond::Tera(100)}};
  config.cluster.local = false;
  config.cluster.cpu_cores = 0;
  config.cluster.intra_node = {"nvswitch", BytesPerSecond::Gigabytes(10)};
  config.workload.dtype = ir::DataType::kBFloat16;
  config.strategy.tensor = 2;
  config.strategy.micro_batch = 4;
  config.strategy_given = {"data", "tensor", "pipeline", "zero", "micro_batch", "sequence_parallel", "recompute"};
  return config;
}

// Half of the products of a tile lie under the collectives of the other.
TEST(SearchTest, TriesPassesThatHideCommunication) {
  config::RunConfig config = TwoGpusThatMostlyCommunicate();
  const auto result = Search(config, BytesEstimatorFactory(), {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  std::vector<std::string> words;
  for (const Candidate& candidate : result->ranked) {
    words.push_back(fmt::format("{} {}", candidate.strategy.overlap, candidate.strategy.overlap_tiles));
  }
  EXPECT_THAT(words, testing::UnorderedElementsAre("none 2", "helix 2", "lattice 2", "strands 2", testing::AnyOf("helix 4", "lattice 4")));
  EXPECT_NE(words.front(), "none 2");
  EXPECT_EQ(WhyNotOverlapped(*result), "");
  const auto as_lowered =
      std::ranges::find_if(result->ranked, [](const Candidate& candidate) { return candidate.strategy.overlap == "none"; });
  EXPECT_LT(result->best.prediction.breakdown.exposed_communication, as_lowered->prediction.breakdown.exposed_communication);
  EXPECT_NE(as_lowered->reason.find("more exposed communication"), std::string::npos) << as_lowered->reason;
  EXPECT_EQ(result->best.prediction.step_time, Priced(config, result->best.plan.strategy).step_time);
  // Not where it is said, where another framework runs the plan, or where a micro-batch cannot be halved. One sequence can, by positions,
  // unless attention is not one kernel; strands are not cut.
  config.software.framework = "megatron-core";
  EXPECT_EQ(Search(config, BytesEstimatorFactory(), {})->ranked.size(), 1U);
  config.software.framework = "helm";
  config.strategy.micro_batch = 1;
  EXPECT_GE(Search(config, BytesEstimatorFactory(), {})->ranked.size(), 3U);
  config.software.flash_attention = false;
  EXPECT_EQ(Search(config, BytesEstimatorFactory(), {})->ranked.size(), 2U);
  config.strategy.overlap = "helix";
  config.strategy_given.insert("overlap");
  const auto refused = Search(config, BytesEstimatorFactory(), {});
  EXPECT_EQ(refused.status().code(), StatusCode::kInfeasible);
  EXPECT_NE(refused.status().message().find("needs flash attention"), std::string::npos) << refused.status().message();
}

// Every op takes as long on half of the rows, and collectives next to nothing.
class LaunchEstimator : public BytesEstimator {
 public:
  Result<cost::Estimate> EstimateOp(const ir::OpSignature&) const override {
    return cost::Estimate{Duration::Nanoseconds(1000), cost::Source::kAnalytic, Bytes()};
  }
  Result<cost::Estimate> EstimateCollective(const ir::CollectiveSignature&) const override {
    return cost::Estimate{Duration::Nanoseconds(1), cost::Source::kAnalytic, Bytes()};
  }
};

// Tiles cost more than they hide, and strands need more than one micro-batch: the plan is as it was, and says what was tried.
TEST(SearchTest, SaysThatPassesDoNotPay) {
  const EstimatorFactory launches = []() -> Result<std::unique_ptr<cost::Estimator>> {
    return std::unique_ptr<cost::Estimator>(new LaunchEstimator());
  };
  config::RunConfig config = TwoGpusThatMostlyCommunicate();
  config.workload.global_batch = config.strategy.micro_batch;
  const auto result = Search(config, launches, {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->best.plan.strategy.overlap, "none");
  EXPECT_EQ(result->ranked.size(), 4U);
  const std::string why = WhyNotOverlapped(*result);
  EXPECT_TRUE(why.starts_with("none of 3 programs with passes is kept: the fastest, strands, takes ")) << why;
  EXPECT_EQ(result->best.plan.passes.back(), (ir::PassRecord{"overlap", "none", why}));
}

// 12 positions over 4 tensor ranks are 3 rows each, which two tiles do not divide; the steps without tiles are plans all the same.
TEST(SearchTest, TilesThatDoNotDivideAreNoCandidates) {
  config::RunConfig config = SmallGpuConfig(8);
  config.strategy.tensor = 4;
  config.strategy.sequence_parallel = true;
  config.strategy.micro_batch = 1;
  config.strategy_given = {"tensor", "sequence_parallel", "micro_batch", "pipeline"};
  const auto result = Search(config, BytesEstimatorFactory(), {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_THAT(result->pruned,
              testing::Contains(testing::Field(&Rejection::reason, testing::HasSubstr("splits the 3 rows that a rank has"))));
}

// Strategies that fit only with some layers computed again are priced in two steps each; three threads come to the same.
TEST(SearchTest, OnGpusThreadsFindTheSame) {
  config::RunConfig config = SmallGpuConfig(8);
  config.model.layers = 8;
  config.workload.sequence_length = 1536;
  config.strategy_given = {"tensor", "pipeline", "overlap", "context"};
  const auto peak_of = [&](const std::string& recompute) {
    config.strategy.recompute = recompute;
    config.strategy.data = 8;
    return Priced(config, config.strategy).memory_bytes_peak;
  };
  const Bytes none = peak_of("none"), full = peak_of("full");
  config.strategy.recompute = "none";
  config.cluster.device.memory = Bytes((none.count() + full.count()) / 2);
  const auto one = Search(config, BytesEstimatorFactory(), {.threads = 1}), many = Search(config, BytesEstimatorFactory(), {.threads = 3});
  ASSERT_TRUE(one.ok() && many.ok()) << one.status().message() << many.status().message();
  const auto told = [](const SearchResult& result) {
    std::vector<std::string> lines;
    for (const Candidate& candidate : result.ranked) {
      lines.push_back(
          fmt::format("{} {} {}", ir::Describe(candidate.strategy), candidate.prediction.step_time.picoseconds(), candidate.reason));
    }
    for (const Rejection& rejection : result.bounded) lines.push_back(ir::Describe(rejection.strategy) + rejection.reason);
    return lines;
  };
  EXPECT_EQ(told(*one), told(*many));
}

TEST(MemoryBoundTest, NeverExceedsTheSimulatedPeak) {
  for (int64_t devices : {1, 2, 4}) {
    for (bool tied : {false, true}) {
      for (ir::DataType dtype : {ir::DataType::kFloat32, ir::DataType::kBFloat16}) {
        config::RunConfig config = SmallConfig(devices);
        config.model.tied_embeddings = tied;
        config.workload.dtype = dtype;
        if (tied) {
          config.model.family = model::Family::kMoe;
          config.model.moe = {.experts = 4, .top_k = 2, .ffn = 32, .dense_layers = 1};
        }
        std::vector<ir::Strategy> strategies = EnumerateStrategies(config).candidates;
        for (const ir::Strategy& strategy : EnumerateStrategies(config).candidates) {
          for (const int64_t zero : {2, 3}) {
            if (strategy.zero != 1 || strategy.expert > 1) continue;
            strategies.push_back(strategy);
            strategies.back().zero = zero;
          }
        }
        for (const ir::Strategy& strategy : strategies) {
          const Bytes bound = MemoryLowerBound(config.model, config.workload, config.software, strategy);
          EXPECT_LE(bound, Priced(config, strategy).memory_bytes_peak) << ir::Describe(strategy) << " tied " << tied;
        }
      }
    }
  }
}

// Two bytes a parameter less, on each of two tensor-parallel ranks.
TEST(MemoryBoundTest, GradientsMayBeNarrow) {
  config::RunConfig config = SmallConfig(2);
  config.workload.dtype = ir::DataType::kBFloat16;
  config.strategy.tensor = 2;
  const auto bound = [&] { return MemoryLowerBound(config.model, config.workload, config.software, config.strategy); };
  const Bytes wide = bound();
  config.software.gradients = ir::Precision::kCompute;
  EXPECT_EQ(wide - bound(), Bytes(model::ParameterCount(config.model) / 2 * 2));
}

}  // namespace
}  // namespace helm::planner
