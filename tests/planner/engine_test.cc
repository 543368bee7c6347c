// The engines of sim::Simulate on lowered programs for GPUs.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "planner/evaluate.h"
#include "planner_fixture.h"
#include "schedule/materialise.h"

namespace helm::planner {
namespace {

// The small model on up to four nodes of eight GPUs.
config::RunConfig SmallGpuConfig() {
  config::RunConfig config = SmallConfig(8);
  config.model.layers = 4;
  config.cluster.device.is_cpu = false;
  config.cluster.local = false;
  config.workload.dtype = ir::DataType::kBFloat16;
  config.cluster.cpu_cores = 0;
  config.cluster.node_count = 4;
  config.cluster.intra_node = {"nvswitch", BytesPerSecond::Gigabytes(100)};
  config.cluster.inter_node = {8, BytesPerSecond::Gigabytes(50), "infiniband", Duration::Microseconds(5)};
  return config;
}

ir::StepPrograms RandomStep() {
  config::RunConfig config = SmallGpuConfig();
  ir::Strategy& strategy = config.strategy;
  strategy.pipeline = *rc::gen::element<int64_t>(1, 2, 4);
  strategy.tensor = *rc::gen::element<int64_t>(1, 2);
  strategy.data = *rc::gen::element<int64_t>(1, 2, 4);
  strategy.zero = *rc::gen::element<int64_t>(0, 1);
  if (strategy.pipeline > 1) strategy.schedule = *rc::gen::element<std::string>("gpipe", "1f1b", "zb-h1");
  config.software.gradient_bucket_bytes = 1024;
  config.workload.global_batch = *rc::gen::inRange<int64_t>(1, 5) * strategy.pipeline * strategy.data;
  config.cluster.devices_used = strategy.world_size();
  const auto step = schedule::Materialise(MakePlan(config, strategy));
  HELM_CHECK(step.ok(), step.status().message().c_str());
  return *step;
}

sim::Simulation Times(const ir::StepPrograms& step, sim::Engine engine, const cost::OverlapLosses& losses) {
  auto simulation = sim::Simulate(step, BytesEstimator(), {.layout = 8, .engine = engine, .overlap_losses = losses});
  HELM_CHECK(simulation.ok(), simulation.status().message().c_str());
  return std::move(simulation).value();
}

// Collectives of a model as small as this one hold no link, and nothing else is lost: both engines agree on every event, to the tick.
RC_GTEST_PROP(Engines, AgreeWhereNothingIsShared, ()) {
  const ir::StepPrograms step = RandomStep();
  const sim::Simulation fixed = Times(step, sim::Engine::kStatic, {});
  const sim::Simulation events = Times(step, sim::Engine::kEvent, {});
  RC_ASSERT(fixed.makespan == events.makespan);
  RC_ASSERT(fixed.critical_path == events.critical_path);
  RC_ASSERT(fixed.timeline == events.timeline);
}

// With losses the step is never shorter; automatic is the event engine, found sooner where nothing overlaps.
RC_GTEST_PROP(Engines, AutomaticIsTheEventEngine, ()) {
  const ir::StepPrograms step = RandomStep();
  const cost::OverlapLosses losses{.inside = {.product = 0.2, .memory_bound = 0.3}, .network = {}, .communication = 0.1};
  const sim::Simulation events = Times(step, sim::Engine::kEvent, losses);
  RC_ASSERT(Times(step, sim::Engine::kAutomatic, losses).timeline == events.timeline);
  RC_ASSERT(events.makespan >= Times(step, sim::Engine::kStatic, {}).makespan);
}

// Data parallelism reduces gradients beside the backward pass, so there is something to lose.
TEST(Engines, OverlappedReductionsSlowTheBackwardPass) {
  config::RunConfig config = SmallGpuConfig();
  config.strategy.data = 8;
  config.software.gradient_bucket_bytes = 1024;
  const auto step = schedule::Materialise(MakePlan(config, config.strategy));
  ASSERT_TRUE(step.ok()) << step.status().message();
  const cost::OverlapLosses losses{.inside = {.product = 0.5, .memory_bound = 0.5}, .network = {}, .communication = 0};
  EXPECT_GT(Times(*step, sim::Engine::kAutomatic, losses).breakdown.compute, Times(*step, sim::Engine::kStatic, {}).breakdown.compute);
}

}  // namespace
}  // namespace helm::planner
