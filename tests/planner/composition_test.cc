// Steps composed of templates against the same steps written out.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cost/chain.h"
#include "ir/verify.h"
#include "model/parameter_plan.h"
#include "planner/evaluate.h"
#include "planner_fixture.h"
#include "random_config.h"
#include "schedule/materialise.h"
#include "schedule/materialise_excerpt.h"
#include "sim/compose.h"

namespace helm::planner {
namespace {

int64_t SumOf(const sim::Breakdown& b) { return (b.compute + b.exposed_communication + b.bubble + b.optimizer + b.host).picoseconds(); }

void ExpectSame(const sim::Simulation& composed, const sim::Simulation& whole) {
  for (size_t c = 0; c < whole.peak_of_class.size(); ++c) {
    RC_LOG() << "peak " << composed.peak_of_class[c].count() << " of " << whole.peak_of_class[c].count() << "\n";
  }
  RC_ASSERT(composed.makespan.picoseconds() == whole.makespan.picoseconds());
  RC_ASSERT(composed.peak_of_class == whole.peak_of_class);
  RC_ASSERT(composed.peak.bytes == whole.peak.bytes);
  RC_ASSERT(composed.peak.rank_class == whole.peak.rank_class);
  RC_ASSERT(composed.peak.by_role == whole.peak.by_role);
  RC_ASSERT(composed.peak.workspace == whole.peak.workspace);
  for (size_t c = 0; c < whole.breakdown_of_class.size(); ++c) {
    RC_ASSERT(composed.breakdown_of_class[c].compute.picoseconds() == whole.breakdown_of_class[c].compute.picoseconds());
    RC_ASSERT(composed.breakdown_of_class[c].optimizer.picoseconds() == whole.breakdown_of_class[c].optimizer.picoseconds());
    RC_ASSERT(SumOf(composed.breakdown_of_class[c]) == whole.makespan.picoseconds());
  }
  RC_ASSERT(std::abs(composed.shares.measured - whole.shares.measured) < 1e-9);
  RC_ASSERT(std::abs(composed.shares.interpolated - whole.shares.interpolated) < 1e-9);
}

// Composed with prices of no order and written out.
void ExpectSameAsWrittenOut(const config::RunConfig& config) {
  const ScatteredEstimator estimator = RandomPrices();
  const ir::Plan plan = MakePlan(config, config.strategy);
  const auto step = schedule::Materialise(plan);
  RC_PRE(step.ok());
  const sim::SimulationOptions options{config.cluster.devices_per_node, config.cluster.device.is_cpu, false};
  const auto whole = sim::Simulate(*step, estimator, options);
  const auto excerpt = schedule::MaterialiseExcerpt(plan, config.model, step->classes[0].device);
  RC_ASSERT(excerpt.status().message() == "");
  for (const ir::Program& program : excerpt->programs.classes) {
    if (!program.ops.empty()) RC_ASSERT(ir::Verify(program).message() == "");
  }
  sim::PriceBook prices(estimator, options.layout);
  const auto composed = sim::ComposeStep(*excerpt, prices, options);
  RC_ASSERT(composed.status().message() == "");
  RC_LOG() << ir::Describe(config.strategy) << " layers " << config.model.layers << " batch " << config.workload.global_batch << "\n";
  if (!whole.ok()) {  // serial messages of an interleaved schedule wait for each other for ever
    RC_ASSERT(!composed->simulation.has_value());
    return;
  }
  RC_ASSERT(composed->not_applicable == "");
  RC_ASSERT(composed->ops == static_cast<int64_t>(FirstOpOfClass(*step, step->classes.size())));
  ExpectSame(*composed->simulation, *whole);
}

// What runs beside something else is slowed down in the excerpt as in the step, but for waiting for other stages: within 0.5 % (DESIGN
// section 5, rule 8).
RC_GTEST_PROP(Composition, IsTheWrittenOutStep, ()) { ExpectSameAsWrittenOut(RandomConfig()); }

// One layer gathers the parameters of the next ones, and waits for the reduction of the one before.
RC_GTEST_PROP(Composition, IsTheWrittenOutStepWhereParametersAreSharded, ()) {
  config::RunConfig config = RandomConfig();
  ShardParameters(config);
  ExpectSameAsWrittenOut(config);
}

// As the search prices first (planner/candidate_price.h): its time is a lower bound, its memory that of the step.
void ExpectBoundWhereNothingContends(const config::RunConfig& config, sim::PriceBook& prices, const sim::Simulation& whole) {
  const auto alone = Evaluate(MakePlan(config, config.strategy), config.model, config.cluster, prices,
                              {.record_timeline = false, .form = StepForm::kTemplates, .engine = sim::Engine::kStatic});
  if (alone.status().code() == StatusCode::kUnavailable) return;
  RC_ASSERT(alone.status().message() == "");
  RC_ASSERT(alone->simulation.makespan <= whole.makespan);
  const Bytes workspaces = alone->simulation.peak_of_class[0] - whole.peak_of_class[0];  // of libraries: in every class
  for (size_t c = 0; c < whole.peak_of_class.size(); ++c) {
    RC_ASSERT(alone->simulation.peak_of_class[c] == whole.peak_of_class[c] + workspaces);
  }
}

void ExpectNearWrittenOut(const config::RunConfig& config) {
  const ir::Plan plan = MakePlan(config, config.strategy);
  const auto step = schedule::Materialise(plan);
  RC_PRE(step.ok());
  const auto estimator = cost::MakeEstimator(config.cluster, {});
  RC_ASSERT(estimator.ok());
  sim::PriceBook prices = MakePriceBook(**estimator, config.cluster);
  sim::SimulationOptions options = SimulationOptionsFor(config.cluster, prices);
  options.engine = sim::Engine::kAutomatic;
  options.overlap_losses = {
      .inside = {.product = 0.1, .memory_bound = 0.15}, .network = {.product = 0.1, .memory_bound = 0.05}, .communication = 0.1};
  options.record_timeline = false;
  const auto whole = sim::Simulate(*step, prices, options);
  const auto excerpt = schedule::MaterialiseExcerpt(plan, config.model, ir::DeviceKind::kCuda, schedule::LayersLeftOut::kMostButInLast);
  RC_ASSERT(excerpt.status().message() == "");
  const auto composed = sim::ComposeStep(*excerpt, prices, options);
  RC_ASSERT(composed.status().message() == "");
  if (!whole.ok()) return;
  ExpectBoundWhereNothingContends(config, prices, *whole);
  // Refused only where a stage has something to wait for when the first reductions run: another chunk, or a stage with more work than its
  // own.
  const bool unequal = config.strategy.pipeline > 1 && config.model.moe.experts > 0 && model::HasDenseLayers(config.model);
  // Sharded layers of which some compute parts again: once in some thousand steps the roles of what is left do not add up, and the step is
  // written out.
  const bool mixed = config.strategy.recompute_layers > 0 && model::ShardingOf(config.strategy).parameters;
  const bool may_refuse = (config.strategy.virtual_pipeline > 1 || unequal) && config.strategy.data * config.strategy.context > 1;
  RC_ASSERT(composed->not_applicable == "" || may_refuse || mixed);
  if (!composed->simulation) return;
  const double error = composed->simulation->makespan.seconds() / whole->makespan.seconds() - 1;
  RC_LOG() << ir::Describe(config.strategy) << " layers " << config.model.layers << " batch " << config.workload.global_batch << " error "
           << 100 * error << " %\n";
  // In a pipeline with fewer micro-batches than stages the reductions at its end are much of the step: one in some thousand is 0.501 % off.
  const bool unfilled = MicroBatches(config.workload, config.strategy) < config.strategy.pipeline;
  RC_ASSERT(std::abs(error) < (unfilled ? 0.0075 : 0.005));
  RC_ASSERT(composed->simulation->peak_of_class == whole->peak_of_class);
}

RC_GTEST_PROP(Composition, IsNearTheWrittenOutStepWhereKernelsContend, ()) {
  config::RunConfig config = LargeConfig();
  if (config.strategy.pipeline > 1) config.strategy.context = 1;  // planner/step_form.cc
  ExpectNearWrittenOut(config);
}

RC_GTEST_PROP(Composition, IsNearTheWrittenOutStepWhereGathersContend, ()) {
  config::RunConfig config = LargeConfig();
  ShardParameters(config);
  ExpectNearWrittenOut(config);
}

// 96 layers on 8 stages, 512 micro-batches: what is written is a few layers of three micro-batches of three stages.
TEST(Composition, WritesWhatTellsTheRest) {
  config::RunConfig config = SmallConfig(8);
  config.model.layers = 96;
  config.strategy.pipeline = 8;
  config.strategy.schedule = "1f1b";
  config.workload.global_batch = 512;
  const auto excerpt = schedule::MaterialiseExcerpt(MakePlan(config, config.strategy), config.model, ir::DeviceKind::kCpu);
  ASSERT_TRUE(excerpt.ok()) << excerpt.status().message();
  EXPECT_EQ(excerpt->told_by, (std::vector<size_t>{0, 1, 1, 1, 1, 1, 1, 7}));
  EXPECT_EQ(excerpt->programs.classes[0].schedule.size(), 2U * 3);  // forward and backward of three
  EXPECT_EQ(excerpt->schedules[0].size(), 2U * 512);
  // Stage 1 holds layers 12 ... 23; without data parallelism the first, the second and the last are written in each micro-batch.
  std::set<int32_t> layers;
  for (const ir::Op& op : excerpt->programs.classes[1].ops) layers.insert(op.layer);
  EXPECT_EQ(layers, (std::set<int32_t>{-1, 12, 13, 23}));
}

// DualPipeV with 4 stages and 40 micro-batches. Stage 0 has gradients apart on its way down of the micro-batches 0 ... 2 and on its way up
// of 36 ... 39, so its inner ones 1, 3 and 36 tell of the others: no stage runs them in more ways. With the first and the last that is
// five.
TEST(Composition, WritesAMicroBatchOfEachWayToRunOne) {
  config::RunConfig config = SmallConfig(4);
  RunOnGpus(config.cluster);
  config.model.layers = 16;
  config.strategy.pipeline = 4;
  config.strategy.virtual_pipeline = 2;
  config.strategy.schedule = "dualpipev";
  config.workload.global_batch = 40;
  config.workload.dtype = ir::DataType::kBFloat16;
  const ir::Plan plan = MakePlan(config, config.strategy);
  const auto excerpt = schedule::MaterialiseExcerpt(plan, config.model, ir::DeviceKind::kCuda);
  ASSERT_TRUE(excerpt.ok()) << excerpt.status().message();
  EXPECT_EQ(excerpt->micro_batches_written, 5);
  const BytesEstimator estimator;
  const auto composed = Evaluate(plan, config.model, config.cluster, estimator, {.record_timeline = false, .form = StepForm::kTemplates});
  const auto whole = Evaluate(plan, config.model, config.cluster, estimator, {.record_timeline = false});
  ASSERT_TRUE(composed.ok()) << composed.status().message();
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  EXPECT_EQ(composed->simulation.makespan, whole->simulation.makespan);
  EXPECT_EQ(composed->simulation.peak_of_class, whole->simulation.peak_of_class);
}

}  // namespace
}  // namespace helm::planner
