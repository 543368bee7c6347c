// Days, GPU hours and money of a run, with failures and checkpoints.
#include "planner/training_run.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planner_fixture.h"

namespace helm::planner {
namespace {

// J. T. Daly's cost function: all time over the time that counts, with checkpoints after each `interval`.
double Slowdown(const config::Failures& failures, int64_t gpus, double interval) {
  const double mean = failures.mtbf_gpu_hours * 3600 / static_cast<double>(gpus);
  return mean * std::exp(failures.restart_s / mean) * std::expm1((interval + failures.checkpoint_s) / mean) / interval;
}

// 50,000 GPU hours between failures, about what Llama 3's 419 unexpected interruptions in 54 days on 16,384 GPUs come to (arXiv
// 2407.21783): one in 3.05 h, 10,986 s. Young's interval is sqrt(2 x 60 x 10,986) = 1,148 s; Daly's terms make it 1,168.5 less the 60 of
// the checkpoint.
TEST(TrainingRun, CheckpointsAsDalySays) {
  const config::Failures failures{50'000, 60, 600};
  const FailingRun run = WithFailures(failures, 16'384);
  EXPECT_NEAR(run.failure_interval_s, 10'986.3, 0.1);
  EXPECT_NEAR(run.checkpoint_interval_s, 1'108.5, 0.1);
  EXPECT_NEAR(run.goodput, 1 / Slowdown(failures, 16'384, 1'108.5), 1e-6);
}

// The examples of Daly's figures 3 to 5: checkpoints of 5 minutes, restarts of 10, failures in 24 h, 6 h and 15 min: 117, 57 and 9.1
// minutes.
TEST(TrainingRun, ReproducesDalysExamples) {
  const auto minutes = [](double mean_hours) { return WithFailures({mean_hours, 300, 600}, 1).checkpoint_interval_s / 60; };
  EXPECT_NEAR(minutes(24), 117, 0.5);
  EXPECT_NEAR(minutes(6), 57, 0.5);
  EXPECT_NEAR(minutes(0.25), 9.1, 0.05);
}

// No interval of a fine grid loses less, up to the terms that Daly's series leaves out; from hardly any failures to several an hour.
TEST(TrainingRun, NoOtherIntervalLosesLess) {
  for (const int64_t gpus : {8, 1'024, 16'384, 100'000}) {
    for (const double checkpoint : {1.0, 60.0, 300.0}) {
      const config::Failures failures{50'000, checkpoint, 600};
      const double goodput = WithFailures(failures, gpus).goodput;
      EXPECT_GT(goodput, 0);
      EXPECT_LT(goodput, 1);
      for (double interval = 1; interval < 1e7; interval *= 1.02) {
        EXPECT_LE(1 / Slowdown(failures, gpus, interval), goodput * (1 + 1e-3)) << gpus << " " << checkpoint << " " << interval;
      }
    }
  }
}

// What takes no time loses none; a restart of nothing, neither.
TEST(TrainingRun, FreeCheckpointsLoseOnlyRestarts) {
  EXPECT_EQ(WithFailures({50'000, 0, 0}, 1'024).goodput, 1);
  const double mean = 50'000.0 / 1'024 * 3600;
  EXPECT_DOUBLE_EQ(WithFailures({50'000, 0, 600}, 1'024).goodput, std::exp(-600 / mean));
}

config::RunConfig FourGpus() {
  config::RunConfig config = SmallConfig(4);  // 8 sequences of 12 tokens: 96 a step
  config.search.tokens = 961;
  config.search.price_per_gpu_hour = 3600;  // one for a GPU and second
  return config;
}

Prediction TwoSeconds() {
  Prediction prediction;
  prediction.step_time = Duration::Seconds(2);
  prediction.tokens_per_second_per_device = 96.0 / 2 / 4;
  return prediction;
}

// 961 tokens are 11 steps, 22 s, 88 GPU seconds; 10^9 tokens at 48 a second cost 4 / 48 x 10^9.
TEST(TrainingRun, IsStepsDaysAndMoney) {
  config::RunConfig config = FourGpus();
  config.search.deadline_days = 22.0 / 86400;
  const TrainingRun run = TrainingRunOf(config, TwoSeconds());
  EXPECT_EQ(run.steps, 11);
  EXPECT_DOUBLE_EQ(run.days, 22.0 / 86400);
  EXPECT_DOUBLE_EQ(CostOf(config, run), 88);
  EXPECT_DOUBLE_EQ(*run.cost_of_1e9_tokens, 4.0 / 48 * 1e9);
  EXPECT_EQ(run.deadline_met, true);
  config.search.deadline_days = 21.0 / 86400;
  EXPECT_EQ(TrainingRunOf(config, TwoSeconds()).deadline_met, false);
}

// 11 steps of 1.5 to 3 s are 16.5 to 33 s: a deadline of 22 s is met by what is predicted, one of 33 s by all of the band.
TEST(TrainingRun, ADeadlineMayBeMissedAtTheSlowEndOfTheBand) {
  config::RunConfig config = FourGpus();
  Prediction prediction = TwoSeconds();
  prediction.band = StepTimeBand{Duration::Seconds(1.5), Duration::Seconds(3), "hopper", 100, 3};
  config.search.deadline_days = 22.0 / 86400;
  const TrainingRun run = TrainingRunOf(config, prediction);
  ASSERT_TRUE(run.days_band.has_value());
  EXPECT_DOUBLE_EQ(run.days_band->first, 16.5 / 86400);
  EXPECT_DOUBLE_EQ(run.days_band->second, 33.0 / 86400);
  EXPECT_THAT(ToText(config, run), testing::HasSubstr("days is met, but not at the slow end of the band"));
  config.search.deadline_days = 33.1 / 86400;
  EXPECT_THAT(ToText(config, TrainingRunOf(config, prediction)), testing::HasSubstr("days is met\n"));
}

// Half of the time lost is twice the time and the money.
TEST(TrainingRun, FailuresCostTimeAndMoney) {
  config::RunConfig config = FourGpus();
  const TrainingRun without = TrainingRunOf(config, TwoSeconds());
  config.search.failures = config::Failures{0.1, 5, 5};
  const TrainingRun with = TrainingRunOf(config, TwoSeconds());
  EXPECT_LT(with.failing->goodput, 0.9);
  EXPECT_DOUBLE_EQ(with.days * with.failing->goodput, without.days);
  EXPECT_DOUBLE_EQ(*with.cost_of_1e9_tokens * with.failing->goodput, *without.cost_of_1e9_tokens);
}

// What is not given is not made up.
TEST(TrainingRun, SaysOnlyWhatTheConfigurationAsksFor) {
  const config::RunConfig config = SmallConfig(4);
  const TrainingRun run = TrainingRunOf(config, TwoSeconds());
  EXPECT_EQ(ToText(config, run), "");
  EXPECT_FALSE(run.cost_of_1e9_tokens.has_value());
  EXPECT_FALSE(ToJson(config, run).contains("days"));
  EXPECT_EQ(ToJson(config, run)["tokens_per_s"], 48);
}

}  // namespace
}  // namespace helm::planner
