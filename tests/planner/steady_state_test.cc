#include "planner/steady_state.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "planner/evaluate.h"
#include "planner_fixture.h"
#include "schedule/materialise.h"
#include "support/any_recompute.h"

namespace helm::planner {
namespace {

void ExpectSame(const sim::Simulation& jumped, const sim::Simulation& full) {
  RC_ASSERT(jumped.makespan == full.makespan);
  RC_ASSERT(jumped.peak_of_class == full.peak_of_class);
  RC_ASSERT(jumped.peak.bytes == full.peak.bytes);
  const auto close = [&](Duration a, Duration b) {
    return std::abs(a.picoseconds() - b.picoseconds()) <= full.makespan.picoseconds() / 50;
  };
  RC_ASSERT(close(jumped.breakdown.bubble, full.breakdown.bubble));
  for (size_t c = 0; c < full.breakdown_of_class.size(); ++c) {
    RC_ASSERT(jumped.breakdown_of_class[c].compute == full.breakdown_of_class[c].compute);
    RC_ASSERT(close(jumped.breakdown_of_class[c].bubble, full.breakdown_of_class[c].bubble));
  }
}

// Up to 40 micro-batches over random pipelines, with data and tensor parallelism, ZeRO and recomputation.
RC_GTEST_PROP(SteadyState, IsTheWrittenOutStep, ()) {
  config::RunConfig config = SmallConfig(8);
  config.model.layers = 8;
  ir::Strategy& strategy = config.strategy;
  strategy.pipeline = *rc::gen::element<int64_t>(1, 2, 4);
  strategy.tensor = *rc::gen::element<int64_t>(1, 2);
  strategy.data = *rc::gen::element<int64_t>(1, 2);
  strategy.zero = *rc::gen::element<int64_t>(0, 1, 2, 3);
  test::RecomputeAnything(config.model, strategy);
  if (strategy.pipeline > 1) strategy.schedule = *rc::gen::element<std::string>("gpipe", "1f1b", "zb-h1", "interleaved-1f1b");
  if (strategy.schedule == "interleaved-1f1b") strategy.virtual_pipeline = 2;
  const int64_t micro_batches = strategy.pipeline * *rc::gen::inRange<int64_t>(1, 11);
  config.workload.global_batch = micro_batches * strategy.data;
  config.cluster.devices_used = strategy.world_size();

  const ir::Plan plan = MakePlan(config, strategy);
  const BytesEstimator estimator;
  const sim::SimulationOptions options{.record_timeline = false};
  const auto step = schedule::Materialise(plan);
  RC_ASSERT(step.ok());
  const auto full = sim::Simulate(*step, estimator, options);
  RC_ASSERT(full.ok());
  sim::PriceBook prices(estimator, options.layout);
  const auto jumped = SimulateSteadyState(plan, prices, options);
  RC_ASSERT(jumped.ok());
  ExpectSame(jumped->simulation, *full);
}

// A thousand micro-batches cost what a few do.
TEST(SteadyState, JumpsOverManyMicroBatches) {
  config::RunConfig config = SmallConfig(2);
  config.strategy.pipeline = 2;
  config.strategy.schedule = "1f1b";
  config.workload.global_batch = 1000;
  const BytesEstimator estimator;
  sim::PriceBook prices(estimator, 1);
  const auto jumped = SimulateSteadyState(MakePlan(config, config.strategy), prices, {});
  ASSERT_TRUE(jumped.ok()) << jumped.status().message();
  EXPECT_LE(jumped->step.classes[0].schedule.size(), 2U * 7);  // seven micro-batches, forward and backward
}

}  // namespace
}  // namespace helm::planner
