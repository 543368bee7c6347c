#include "planner/step_form.h"

#include <gtest/gtest.h>

#include "ir/program_text.h"
#include "planner/evaluate.h"
#include "planner_fixture.h"
#include "schedule/materialise.h"

namespace helm::planner {
namespace {

// Two stages, 40 micro-batches.
config::RunConfig LongConfig() {
  config::RunConfig config = SmallConfig(2);
  config.strategy.pipeline = 2;
  config.strategy.schedule = "1f1b";
  config.workload.global_batch = 40;
  return config;
}

SimulatedStep Simulated(const config::RunConfig& config, StepForm form, int64_t ops_most) {
  const BytesEstimator estimator;
  sim::PriceBook prices(estimator, 1);
  auto step =
      SimulateStep(MakePlan(config, config.strategy), config.model, ir::DeviceKind::kCpu, prices, sim::SimulationOptions(), form, ops_most);
  EXPECT_TRUE(step.ok()) << step.status().message();
  return std::move(step).value();
}

int64_t OpsOf(const ir::StepPrograms& programs) { return static_cast<int64_t>(FirstOpOfClass(programs, programs.classes.size())); }

// One operator decides: the form changes, the numbers do not.
TEST(StepForm, GoesByTheNumberOfOperators) {
  const config::RunConfig config = LongConfig();
  const SimulatedStep whole = Simulated(config, StepForm::kWrittenOut, 0);
  const int64_t ops = OpsOf(whole.programs);
  const SimulatedStep small = Simulated(config, StepForm::kBySize, ops);
  EXPECT_TRUE(small.written_out);
  EXPECT_EQ(small.not_written_out_because, "");
  EXPECT_EQ(ir::ProgramHash(small.programs), ir::ProgramHash(whole.programs));
  EXPECT_EQ(small.simulation.timeline.events.size(), whole.simulation.timeline.events.size());

  const SimulatedStep large = Simulated(config, StepForm::kBySize, ops - 1);
  EXPECT_FALSE(large.written_out);
  EXPECT_TRUE(large.not_written_out_because.ends_with(" at most are written out; composed of templates")) << large.not_written_out_because;
  EXPECT_EQ(large.simulation.makespan, whole.simulation.makespan);
  EXPECT_EQ(large.simulation.peak_of_class, whole.simulation.peak_of_class);
  EXPECT_TRUE(large.simulation.timeline.ops.empty());
}

// Templates do not apply to sharded gradients: the first micro-batches tell.
TEST(StepForm, JumpsWhereItCannotBeComposed) {
  config::RunConfig config = LongConfig();
  config.cluster.devices_used = config.cluster.devices_per_node = 4;
  config.strategy.data = 2;
  config.strategy.zero = 2;
  config.workload.global_batch = 80;
  const SimulatedStep whole = Simulated(config, StepForm::kWrittenOut, 0);
  const SimulatedStep large = Simulated(config, StepForm::kBySize, OpsOf(whole.programs) / 2);
  EXPECT_FALSE(large.written_out);
  EXPECT_TRUE(large.not_written_out_because.starts_with("it has about ")) << large.not_written_out_because;
  EXPECT_LT(OpsOf(large.programs), OpsOf(whole.programs) / 2);
  EXPECT_EQ(large.simulation.makespan, whole.simulation.makespan);
}

TEST(StepForm, ComposesLayersOfTwoKindsButUnderSequenceParallelism) {
  config::RunConfig config = LongConfig();
  config.model.family = model::Family::kMoe;
  config.model.moe = {.experts = 4, .top_k = 2, .ffn = 24, .dense_layers = 1};
  const SimulatedStep composed = Simulated(config, StepForm::kComposed, 0);
  EXPECT_EQ(composed.not_composed_because, "");
  EXPECT_EQ(composed.simulation.makespan, Simulated(config, StepForm::kWrittenOut, 0).simulation.makespan);
  config.cluster.devices_used = config.cluster.devices_per_node = 2;
  config.strategy.tensor = config.strategy.expert_tensor = 2;
  config.strategy.sequence_parallel = true;
  const SimulatedStep step = Simulated(config, StepForm::kComposed, 0);
  EXPECT_EQ(step.not_composed_because, "it has dense layers and layers with experts, with sequence parallelism");
  EXPECT_EQ(step.simulation.makespan, Simulated(config, StepForm::kWrittenOut, 0).simulation.makespan);
}

TEST(StepForm, ComposesProductsOfEightBits) {
  config::RunConfig config = LongConfig();
  config.workload.dtype = ir::DataType::kBFloat16;
  config.workload.quantization = ir::Quantization::kFp8;
  config.software.fp8_recipe = ir::Fp8Recipe::kCurrent;
  const SimulatedStep composed = Simulated(config, StepForm::kComposed, 0);
  const SimulatedStep whole = Simulated(config, StepForm::kWrittenOut, 0);
  EXPECT_EQ(composed.not_composed_because, "");
  EXPECT_EQ(composed.simulation.makespan, whole.simulation.makespan);
  EXPECT_EQ(composed.simulation.peak_of_class, whole.simulation.peak_of_class);
}

// gpipe keeps every micro-batch: with sharded gradients there is no other way than to write it out.
TEST(StepForm, WritesOutWhereNothingElseApplies) {
  config::RunConfig config = LongConfig();
  config.cluster.devices_used = config.cluster.devices_per_node = 4;
  config.strategy.data = 2;
  config.strategy.zero = 2;
  config.strategy.schedule = "gpipe";
  const SimulatedStep step = Simulated(config, StepForm::kBySize, 1);
  EXPECT_TRUE(step.written_out);
  EXPECT_EQ(step.not_written_out_because, "");
  EXPECT_FALSE(step.simulation.timeline.ops.empty());
}

TEST(StepForm, ComposedSaysWhyItIsNot) {
  config::RunConfig config = LongConfig();
  EXPECT_EQ(Simulated(config, StepForm::kComposed, 0).not_composed_because, "");
  config.cluster.devices_used = config.cluster.devices_per_node = 4;
  config.strategy.data = 2;
  config.strategy.zero = 2;
  EXPECT_EQ(Simulated(config, StepForm::kComposed, 0).not_composed_because, "gradients or parameters are sharded in a pipeline");
}

}  // namespace
}  // namespace helm::planner
