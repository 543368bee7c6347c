// Pieces and their composition where no lowering makes the programs; whole strategies: tests/planner/composition_test.cc.
#include "sim/compose.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "support/fake_estimator.h"
#include "support/program_from_text.h"
#include "support/random_program.h"

namespace helm::sim {
namespace {

Duration RandomDuration() { return Duration::Picoseconds(*rc::gen::inRange<int64_t>(0, 1000)); }

test::FakeEstimator RandomPrices() {
  test::FakeEstimator prices;
  prices.SetHost(RandomDuration(), RandomDuration(), RandomDuration());
  for (int i = 0; i < test::kRandomTargets; ++i)
    prices.Set(test::RandomTarget(i), RandomDuration(), Bytes(*rc::gen::inRange<int64_t>(0, 5000)));
  return prices.Set("all_gather", RandomDuration());
}

// All of a step that nothing is left out of.
StepExcerpt WholeStep(ir::Program program) {
  StepExcerpt excerpt;
  excerpt.told_by = {0};
  excerpt.layers.emplace_back(program.schedule.size());
  excerpt.left_out_storages.resize(1);
  excerpt.schedules = {program.schedule};
  excerpt.micro_batches = excerpt.micro_batches_written = static_cast<int64_t>(program.schedule.size());
  excerpt.programs.classes.push_back(std::move(program));
  return excerpt;
}

// Gives the ops to actions, each a piece: cuts at random places, with collectives open over the cuts.
ir::Program CutAtRandom(ir::Program program) {
  int32_t action = -1;
  for (ir::Op& op : program.ops) {
    if (*rc::gen::inRange(0, 4) == 0) {
      ++action;
      program.schedule.push_back({0, ir::ActionKind::kForward, action, {}});
    }
    op.action = action;
  }
  return program;
}

RC_GTEST_PROP(Compose, PiecesAreTheProgramWhereverItIsCut, ()) {
  const ir::Program program = CutAtRandom(test::RandomProgram());
  const test::FakeEstimator estimator = RandomPrices();
  const bool cores = program.device == ir::DeviceKind::kCpu && *rc::gen::arbitrary<bool>();
  const SimulationOptions options{.communication_shares_cores = cores, .record_timeline = false};
  const auto whole = Simulate({{program}}, estimator, options);
  RC_ASSERT(whole.ok());
  PriceBook prices(estimator, options.layout);
  const auto composed = ComposeStep(WholeStep(program), prices, options);
  RC_ASSERT(composed.ok());
  RC_ASSERT(composed->not_applicable == "");
  const Simulation& simulation = *composed->simulation;
  RC_ASSERT(simulation.makespan.picoseconds() == whole->makespan.picoseconds());
  RC_ASSERT(simulation.peak_of_class == whole->peak_of_class);
  RC_ASSERT(simulation.peak.by_role == whole->peak.by_role);
  // Everything runs once, so idle time is put down exactly.
  RC_ASSERT(simulation.breakdown.compute == whole->breakdown.compute);
  RC_ASSERT(simulation.breakdown.exposed_communication == whole->breakdown.exposed_communication);
  RC_ASSERT(simulation.breakdown.host == whole->breakdown.host);
}

constexpr std::string_view kTwoStreams = R"(helm-program/1
program streams device=cuda
mesh tensor=2
group tensor = [tensor]
storage x: 40 bytes input persistent
tensor %x: f32[10] @x
input x = %x
#0 %a: f32[10] = aten.relu(%x) {phase=forward}
#1 %b: f32[10] = aten.neg(%x) {phase=forward stream=1}
output a = %a
output b = %b
)";

TEST(Compose, RefusesSeveralComputeStreams) {
  test::FakeEstimator estimator;
  estimator.Set("aten.relu", Duration::Picoseconds(1)).Set("aten.neg", Duration::Picoseconds(1));
  PriceBook prices(estimator, 1);
  const auto composed = ComposeStep(WholeStep(test::ProgramFromText(kTwoStreams)), prices, {});
  ASSERT_TRUE(composed.ok());
  EXPECT_FALSE(composed->simulation.has_value());
  EXPECT_EQ(composed->not_applicable, "several compute streams");
}

// A layer that nothing tells of has no time that could be made up.
TEST(Compose, RefusesALayerThatIsNowhere) {
  ir::Program program = test::ProgramFromText(kTwoStreams);
  program.ops[1].compute_stream = 0;
  program.schedule = {{0, ir::ActionKind::kForward, 0, {}}};
  for (ir::Op& op : program.ops) op.action = op.layer = 0;
  StepExcerpt excerpt = WholeStep(program);
  excerpt.layers[0][0] = {{0, 0}, {1, 2}, {2, 2}};
  test::FakeEstimator estimator;
  estimator.Set("aten.relu", Duration::Picoseconds(1)).Set("aten.neg", Duration::Picoseconds(1));
  PriceBook prices(estimator, 1);
  const auto composed = ComposeStep(excerpt, prices, {});
  ASSERT_TRUE(composed.ok());
  EXPECT_EQ(composed->not_applicable, "layer 1 is nowhere in its action");
}

// Missing prices are an error of the step, not a reason to write it out.
TEST(Compose, FailsWithoutPrices) {
  const test::FakeEstimator estimator;
  PriceBook prices(estimator, 1);
  EXPECT_EQ(ComposeStep(WholeStep(test::ProgramFromText(kTwoStreams)), prices, {}).status().code(), StatusCode::kUnavailable);
}

// Not one that cannot be composed: nobody is to write it out instead.
TEST(Compose, CancelledItFails) {
  const test::FakeEstimator estimator;
  PriceBook prices(estimator, 1);
  const std::atomic<bool> interrupted = true;
  const SimulationOptions options{.cancellation = Cancellation(&interrupted)};
  EXPECT_EQ(ComposeStep(WholeStep(test::ProgramFromText(kTwoStreams)), prices, options).status().code(), StatusCode::kInterrupted);
}

}  // namespace
}  // namespace helm::sim
