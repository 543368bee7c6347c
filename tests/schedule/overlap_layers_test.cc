// The passes of overlapped communication on a layer of LLaMA-70B whose op durations are known, against the speed-ups of techniques.md 1.4:
// TP 8 with sequence parallelism, 100 GB/s, forward, batch 2, sequences of 4096, no contention.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "schedule/accept.h"
#include "schedule/lattice.h"
#include "schedule/pass.h"
#include "sim/simulate.h"
#include "support/fake_estimator.h"
#include "support/program_from_text.h"

namespace helm::schedule {
namespace {

// Layers of norm, gather, qkv, attention, out, scatter, residual, norm, gather, up, activation, down, scatter, residual, each op under the
// name of an operator of its own.
ir::Program Layers(int layers) {
  std::string text = R"(helm-program/1
program layers device=cuda
mesh tensor=8
group tensor = [tensor]
storage x: 32 bytes input persistent
tensor %x: f32[2,4] @x
input x = %x
)";
  int op = 0;
  std::string rows = "x";
  for (int layer = 0; layer < layers; ++layer) {
    const auto compute = [&](const std::string& name, const std::string& shape, const std::string& call) {
      text += fmt::format("#{} %{}.{}: f32{} = aten.{} {{layer={}}}\n", op++, name, layer, shape, call, layer);
      return fmt::format("{}.{}", name, layer);
    };
    const auto collective = [&](const std::string& name, const std::string& shape, const std::string& call) {
      text += fmt::format("#{} %{}.{}: f32{} = c10d.{} {{layer={} group=tensor}}\n", op, name, layer, shape, call, layer);
      text += fmt::format("#{} c10d.wait(#{}) {{layer={} group=tensor}}\n", op + 1, op, layer);
      op += 2;
      return fmt::format("{}.{}", name, layer);
    };
    const auto branch = [&](const std::string& name, const std::vector<std::string>& inner) {
      std::string at = compute(name + ".norm", "[2,4]", fmt::format("abs(%{})", rows));
      at = collective(name + ".gather", "[16,4]", fmt::format("all_gather(%{})", at));
      for (const std::string& target : inner) at = compute(name + "." + target, "[16,4]", fmt::format("{}(%{})", target, at));
      at = collective(name + ".scatter", "[2,4]", fmt::format("reduce_scatter(%{}, \"sum\")", at));
      rows = compute(name + ".residual", "[2,4]", fmt::format("add.Tensor(%{}, %{})", rows, at));
    };
    branch("attention", {"cos", "sin", "tanh"});  // qkv, attention, out
    branch("mlp", {"exp", "relu", "sqrt"});       // up, activation, down
  }
  return test::ProgramFromText(text + fmt::format("output rows = %{}\n", rows));
}

struct Durations {
  double norm, collective, qkv, attention, out, residual, up, activation, down;  // microseconds
};
constexpr Durations kWhole = {15.5, 1412.2, 302.6, 131.3, 203.0, 21.8, 1397.3, 68.7, 700.6};
constexpr Durations kHalf = {9.3, 741.1, 203.0, 68.2, 103.5, 12.4, 700.6, 35.9, 352.3};

test::FakeEstimator EstimatorOf(const Durations& durations) {
  const auto us = [](double microseconds) { return Duration::Picoseconds(static_cast<int64_t>(microseconds * 1e6)); };
  test::FakeEstimator estimator;
  estimator.Set("aten.abs", us(durations.norm)).Set("all_gather", us(durations.collective)).Set("reduce_scatter", us(durations.collective));
  estimator.Set("aten.cos", us(durations.qkv)).Set("aten.sin", us(durations.attention)).Set("aten.tanh", us(durations.out));
  estimator.Set("aten.add.Tensor", us(durations.residual)).Set("aten.exp", us(durations.up)).Set("aten.relu", us(durations.activation));
  estimator.Set("aten.sqrt", us(durations.down)).Set("aten.cat", Duration());
  return estimator;
}

double Makespan(const ir::Program& program, const Durations& durations) {
  const auto simulation = sim::Simulate(ir::StepPrograms{{program}}, EstimatorOf(durations), {.layout = 8});
  EXPECT_TRUE(simulation.ok()) << simulation.status().message();
  return simulation.ok() ? simulation->makespan.seconds() : 0;
}

ir::Program After(const std::vector<std::string>& passes, ir::Program program) {
  const test::FakeEstimator estimator = EstimatorOf(kHalf);
  sim::PriceBook prices(estimator, 8);
  for (const std::string& pass : passes) {
    auto result = RunPass(pass, program, {.prices = &prices, .memory_budget = {}});
    EXPECT_TRUE(result.ok()) << result.status().message();
    if (!result.ok()) return program;
    program = std::move(result).value();
  }
  return program;
}

// Of two tiles after these passes over one, all in turn.
double SpeedUp(int layers, const std::vector<std::string>& passes) {
  const double serial = Makespan(After({"serial"}, Layers(layers)), kWhole);
  return serial / Makespan(After(passes, Layers(layers)), kHalf);
}

TEST(OverlapLayers, SegmentedRoundRobin) {
  EXPECT_NEAR(SpeedUp(1, {"tile=2", "round_robin"}), 1.283, 1.283 * 0.005);
  EXPECT_NEAR(SpeedUp(3, {"tile=2", "round_robin"}), 1.286, 1.286 * 0.005);
  EXPECT_NEAR(SpeedUp(8, {"tile=2", "round_robin"}), 1.287, 1.287 * 0.005);
}

// No order can beat the sum of the collectives: 4 x 1412.2 + 2878.1 (all computation) over 8 x 741.1 = 1.438.
TEST(OverlapLayers, LatticeComesNearTheBound) {
  const double three = SpeedUp(3, {"tile=2", "lattice"});
  EXPECT_NEAR(three, 1.399, 1.399 * 0.005);
  const double eight = SpeedUp(8, {"tile=2", "lattice"});
  EXPECT_GE(eight, 1.39);
  EXPECT_LE(eight, 1.438);
  // Layers that are searched and repeated are as good as layers that are all searched.
  EXPECT_GE(SpeedUp(40, {"tile=2", "lattice"}), eight);
}

// A tile's layer as the lattice sees it, in picoseconds.
std::vector<LatticeStep> LayerSteps(const Durations& d) {
  std::vector<LatticeStep> steps;
  const auto compute = [&](double microseconds) { steps.push_back({.duration = static_cast<int64_t>(microseconds * 1e6)}); };
  const auto collective = [&] {
    steps.push_back({.kind = StepKind::kStart, .duration = static_cast<int64_t>(d.collective * 1e6)});
    steps.push_back({.kind = StepKind::kWait, .start = steps.size() - 1});
  };
  for (const std::vector<double>& inner : {std::vector{d.qkv, d.attention, d.out}, std::vector{d.up, d.activation, d.down}}) {
    compute(d.norm);
    collective();
    for (const double microseconds : inner) compute(microseconds);
    collective();
    compute(d.residual);
  }
  return steps;
}

// One layer alone ends no sooner than 6341.6 us, in whatever order its two tiles' ops run: no cell of the lattice has as many labels as
// the beam, so none was dropped. 8526.9 us in turn: 1.345. What the first gather and the last scatter cannot hide under (techniques' 1.399
// is of three layers), more layers share.
TEST(OverlapLayers, OneLayerHasNoFasterOrder) {
  const std::vector<LatticeStep> steps = LayerSteps(kHalf);
  const auto narrow = FastestInterleaving(steps, steps, 1, {.beam = 2000});
  const auto wide = FastestInterleaving(steps, steps, 1, {.beam = 4000});
  EXPECT_EQ(narrow->makespan, wide->makespan);
  EXPECT_NEAR(8526.9 / (static_cast<double>(wide->makespan) * 1e-6), 1.3446, 0.0005);
  EXPECT_NEAR(SpeedUp(1, {"tile=2", "lattice"}), 1.3446, 0.0005);
}

// A layer more of many: what training sees.
TEST(OverlapLayers, ALayerMoreIsAtTheBound) {
  const auto seconds = [](int layers, const std::vector<std::string>& passes, const Durations& durations) {
    return Makespan(After(passes, Layers(layers)), durations);
  };
  const double serial = (seconds(40, {"serial"}, kWhole) - seconds(20, {"serial"}, kWhole)) / 20;
  const double lattice = (seconds(40, {"tile=2", "lattice"}, kHalf) - seconds(20, {"tile=2", "lattice"}, kHalf)) / 20;
  EXPECT_GE(serial / lattice, 1.39);
  EXPECT_LE(serial / lattice, 1.4383);
}

Acceptance TryOn(const ir::Program& program, const std::vector<std::string>& passes, std::optional<Bytes> budget = {}) {
  const test::FakeEstimator estimator = EstimatorOf(kHalf);
  sim::PriceBook prices(estimator, 8);
  auto result = RunPassesIfBetter(ir::StepPrograms{{program}}, passes, prices, {.layout = 8}, budget);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return std::move(result).value();
}

// Where an op takes as long on half of the rows, tiles only cost; in another order they are faster; not where memory forbids it.
TEST(OverlapLayers, KeepsOnlyWhatIsBetter) {
  const Acceptance slower = TryOn(Layers(2), {"tile=2", "round_robin"});
  EXPECT_FALSE(slower.accepted);
  EXPECT_EQ(ir::ToText(slower.step.classes[0]), ir::ToText(Layers(2)));
  EXPECT_NE(slower.reason.find("not faster, so the program stays as it was"), std::string::npos) << slower.reason;
  const ir::Program in_turn = After({"tile=2", "serial"}, Layers(2));
  const Acceptance faster = TryOn(in_turn, {"lattice"});
  EXPECT_TRUE(faster.accepted) << faster.reason;
  EXPECT_LT(faster.time_after, faster.time_before);
  const Acceptance too_large = TryOn(in_turn, {"lattice"}, Bytes(1));
  EXPECT_FALSE(too_large.accepted);
  EXPECT_EQ(ir::ToText(too_large.step.classes[0]), ir::ToText(in_turn));
  EXPECT_NE(too_large.reason.find("more than the 1 B allowed"), std::string::npos) << too_large.reason;
}

// Tiles one after the other in each op lose what halves lose: nothing moves that others could hide less.
TEST(OverlapLayers, PassesKeepTheWork) {
  const ir::Program tiled = After({"tile=2"}, Layers(3));
  const ir::Program lattice = After({"lattice"}, tiled), robin = After({"round_robin"}, tiled);
  EXPECT_EQ(tiled.ops.size(), lattice.ops.size());
  EXPECT_EQ(tiled.ops.size(), robin.ops.size());
  EXPECT_EQ(ir::ToText(After({"lattice"}, robin)), ir::ToText(lattice));  // whatever order it starts from
}

}  // namespace
}  // namespace helm::schedule
