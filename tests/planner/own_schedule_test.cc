// A schedule of the user's own against the named ones: written as rows and read again it gives the same programs, times and memory.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "ir/program_text.h"
#include "ir/schedule_csv.h"
#include "planner/evaluate.h"
#include "planner/memory_bound.h"
#include "planner/space.h"
#include "planner_fixture.h"
#include "schedule/materialise.h"
#include "schedule/pipeline_schedule.h"

namespace helm::planner {
namespace {

config::RunConfig FourLayers(const ir::Strategy& strategy, int64_t micro_batches) {
  config::RunConfig config = SmallConfig(strategy.pipeline);
  config.model.layers = strategy.pipeline * strategy.virtual_pipeline;
  config.workload.global_batch = micro_batches;
  config.strategy = strategy;
  return config;
}

// The same order, as the user's own.
ir::Strategy AsRows(ir::Strategy strategy, int64_t micro_batches) {
  strategy.schedule_rows = schedule::PipelineSchedules(strategy, micro_batches).value();
  strategy.schedule = "csv";
  return strategy;
}

RC_GTEST_PROP(OwnSchedule, IsTheNamedOneWhenItsRowsAre, ()) {
  const std::string name = *rc::gen::element<std::string>("gpipe", "1f1b", "interleaved-1f1b", "zb-h1", "zb-h2", "zb-v", "dualpipev");
  const int64_t stages = *rc::gen::inRange<int64_t>(2, 4);
  const int64_t micro_batches = 2 * stages + (name == "interleaved-1f1b" ? 0 : *rc::gen::inRange<int64_t>(0, 3));
  const bool chunked = name == "interleaved-1f1b" || name == "zb-v" || name == "dualpipev";
  const ir::Strategy named{.pipeline = stages, .virtual_pipeline = chunked ? 2 : 1, .schedule = name};
  const config::RunConfig config = FourLayers(named, micro_batches);
  const ir::Strategy own = AsRows(named, micro_batches);
  const BytesEstimator estimator;
  const auto expected = Evaluate(MakePlan(config, named), config.model, config.cluster, estimator, {});
  const ir::Plan plan = ir::ParsePlan(ir::ToYaml(MakePlan(config, own)), "plan.yaml").value();
  RC_ASSERT(plan.strategy == own);
  const auto found = Evaluate(plan, config.model, config.cluster, estimator, {});
  RC_ASSERT(expected.ok() && found.ok());
  RC_ASSERT(found->plan.program_hash == expected->plan.program_hash);
  RC_ASSERT(found->prediction.step_time == expected->prediction.step_time);
  const auto composed = Evaluate(plan, config.model, config.cluster, estimator, {.record_timeline = false, .form = StepForm::kComposed});
  RC_ASSERT(composed.ok());
  RC_ASSERT(composed->prediction.step_time == expected->prediction.step_time);
  RC_ASSERT(composed->prediction.memory_bytes_peak == expected->prediction.memory_bytes_peak);
  RC_ASSERT(MemoryLowerBound(config.model, config.workload, config.software, own) <= expected->prediction.memory_bytes_peak);
}

// Micro-batches in another order than their numbers': the step is written out, and all of its work is in it. BytesEstimator's times do not
// depend on the order, so the step takes as long as in ascending order.
TEST(OwnSchedule, MayRunMicroBatchesInAnyOrder) {
  const ir::Strategy ascending{.pipeline = 2, .schedule = "1f1b"};
  ir::Strategy descending = ascending;
  descending.schedule = "csv";
  descending.schedule_rows = ir::ParseScheduleCsv("0F2,0F1,0B2,0F0,0B1,0B0\n1F2,1B2,1F1,1B1,1F0,1B0\n", "own.csv").value();
  const config::RunConfig config = FourLayers(ascending, 3);
  const BytesEstimator estimator;
  const auto expected = Evaluate(MakePlan(config, ascending), config.model, config.cluster, estimator, {});
  for (const StepForm form : {StepForm::kWrittenOut, StepForm::kComposed}) {
    const auto found = Evaluate(MakePlan(config, descending), config.model, config.cluster, estimator, {.form = form});
    ASSERT_TRUE(found.ok()) << found.status().message();
    EXPECT_EQ(found->prediction.step_time, expected->prediction.step_time);
  }
}

// Receives come in another order than sends: refused, not run into a hang.
TEST(OwnSchedule, MessagesMustArriveInTheOrderInWhichTheyAreSent) {
  ir::Strategy strategy{.pipeline = 2, .schedule = "csv"};
  strategy.schedule_rows = ir::ParseScheduleCsv("0F0,0F1,0B0,0B1\n1F1,1F0,1B0,1B1\n", "own.csv").value();
  const config::RunConfig config = FourLayers(strategy, 2);
  EXPECT_FALSE(schedule::Materialise(MakePlan(config, strategy)).ok());
}

TEST(OwnSchedule, FixesTheNumberOfMicroBatches) {
  const ir::Strategy own = AsRows({.pipeline = 2, .schedule = "1f1b"}, 4);
  EXPECT_EQ(
      schedule::PipelineSchedules(own, 8).status().message(),
      "error: strategy.schedule is for 4 micro-batches, the step has 8 (global_batch / (micro_batch x data)); choose them so that there "
      "are 4");
  config::RunConfig config = FourLayers(own, 16);
  config.cluster.devices_used = 4;
  config.strategy_given = {"schedule", "pipeline", "virtual_pipeline", "tensor"};
  const Space space = EnumerateStrategies(config);
  ASSERT_FALSE(space.candidates.empty());
  for (const ir::Strategy& candidate : space.candidates) EXPECT_EQ(MicroBatches(config.workload, candidate), 4);
}

}  // namespace
}  // namespace helm::planner
