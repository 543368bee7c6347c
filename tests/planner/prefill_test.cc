// A prefill is what the forward_only pass leaves of a step of training, priced as any step; what else asks for a backward is refused.
#include <gtest/gtest.h>

#include "ir/program_text.h"
#include "planner/evaluate.h"
#include "planner/search.h"
#include "planner/space.h"
#include "planner_fixture.h"
#include "schedule/executable.h"
#include "schedule/pass.h"
#include "sim/simulate.h"

namespace helm::planner {
namespace {

config::RunConfig Prefill(const ir::Strategy& strategy) {
  config::RunConfig config = SmallConfig(strategy.world_size());
  config.workload.kind = "prefill";
  config.strategy = strategy;
  return config;
}

TEST(Prefill, IsTheForwardOfAStep) {
  for (const ir::Strategy& strategy : {ir::Strategy{.tensor = 2, .micro_batch = 2}, ir::Strategy{.pipeline = 2, .schedule = "1f1b"}}) {
    const config::RunConfig config = Prefill(strategy);
    const BytesEstimator estimator;
    const auto prefill = Evaluate(MakePlan(config, strategy), config.model, config.cluster, estimator, {});
    ASSERT_TRUE(prefill.ok()) << prefill.status().message();
    config::RunConfig training = config;
    training.workload.kind = "training";
    const auto step = Evaluate(MakePlan(training, strategy), config.model, config.cluster, estimator, {});
    ASSERT_TRUE(step.ok()) << step.status().message();
    ir::StepPrograms cut = step->step;
    for (ir::Program& program : cut.classes) program = schedule::RunPass("forward_only", program).value();
    const auto expected = sim::Simulate(cut, estimator, SimulationOptionsFor(config.cluster, MakePriceBook(estimator, config.cluster)));
    ASSERT_TRUE(expected.ok()) << expected.status().message();
    EXPECT_EQ(prefill->prediction.step_time, expected->makespan);
    EXPECT_EQ(prefill->prediction.memory_bytes_peak, expected->peak.bytes);
    EXPECT_FALSE(prefill->prediction.model_flops_utilization.has_value());
    EXPECT_EQ(prefill->plan.program_hash, ir::ProgramHash(cut));
  }
}

TEST(Prefill, RefusesWhatNeedsABackward) {
  config::RunConfig config = Prefill({.data = 2});
  config.strategy.overlap = "strands";
  EXPECT_NE(CheckFixedStrategy(config).message().find("workload.kind prefill has none"), std::string::npos);
  EXPECT_NE(Search(config, BytesEstimatorFactory(), {}).status().message().find("helm-sim prices one strategy"), std::string::npos);
  const ir::Plan plan = MakePlan(config, {.data = 2});
  EXPECT_NE(schedule::CheckExecutable(plan, config.model, "plan.yaml").message().find("to run workload.kind 'prefill'"), std::string::npos);
}

}  // namespace
}  // namespace helm::planner
