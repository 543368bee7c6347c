#include "sim/contention.h"

#include <gtest/gtest.h>

#include <string>

#include "cost/pair_losses.h"
#include "sim/simulate.h"
#include "support/fake_estimator.h"
#include "support/program_from_text.h"

namespace helm::sim {
namespace {

using test::FakeEstimator;
using test::ProgramFromText;

Duration Ps(int64_t count) { return Duration::Picoseconds(count); }

// Two collectives of `bytes` on groups of their own, started together; a product and a memory-bound kernel run beside them.
ir::Program TwoCollectives(int64_t floats, const std::string& mesh = "tensor=2 data=2") {
  const std::string shape = std::to_string(floats);
  const std::string bytes = std::to_string(4 * floats);
  return ProgramFromText("helm-program/1\nprogram two device=cuda\nmesh " + mesh + R"(
group tensor = [tensor]
group data = [data]
storage x: )" + bytes + " bytes input persistent\nstorage y: " +
                         bytes + " bytes input persistent\ntensor %x: f32[" + shape + "] @x\ntensor %y: f32[" + shape + R"(] @y
storage w: 16 bytes input persistent
tensor %w: f32[2,2] @w
input x = %x
input y = %y
input w = %w
#0 %a: f32[)" + shape + R"(] @x = c10d.all_reduce(%x, "sum") {phase=forward group=tensor}
#1 %b: f32[)" + shape + R"(] @y = c10d.all_reduce(%y, "sum") {phase=forward group=data}
#2 %p: f32[2,2] = aten.mm(%w, %w) {phase=forward}
#3 %n: f32[2,2] = aten.neg(%w) {phase=forward}
#4 c10d.wait(#0) {phase=forward group=tensor}
#5 c10d.wait(#1) {phase=forward group=data}
output a = %a
output b = %b
output p = %p
output n = %n
)");
}

FakeEstimator Prices() {
  FakeEstimator prices;
  prices.SetHost(Ps(0), Ps(0), Ps(0)).Set("aten.mm", Ps(300)).Set("aten.neg", Ps(30)).Set("all_reduce", Ps(1000));
  return prices;
}

int64_t Makespan(const ir::Program& program, Engine engine, const cost::OverlapLosses& losses, int64_t ranks_per_node = 4) {
  const auto simulation = Simulate({{program}}, Prices(), {.layout = ranks_per_node, .engine = engine, .overlap_losses = losses});
  HELM_CHECK(simulation.ok(), simulation.status().message().c_str());
  return simulation->makespan.picoseconds();
}

constexpr int64_t kSmall = 10;
constexpr int64_t kLarge = kLatencyBytes / 4;

// Small messages hold no link: both collectives end at 1000. The static engine says the same of large ones.
TEST(Contention, NothingIsSharedBySmallCollectives) {
  EXPECT_EQ(Makespan(TwoCollectives(kSmall), Engine::kEvent, {}), 1000);
  EXPECT_EQ(Makespan(TwoCollectives(kSmall), Engine::kAutomatic, {}), 1000);
  EXPECT_EQ(Makespan(TwoCollectives(kLarge), Engine::kStatic, {}), 1000);
}

// Both inside the node of four: each has half of its links: 2000. On nodes of two the data group {0, 2} lies across: other links, 1000.
TEST(Contention, CollectivesShareTheLinksThatBothUse) {
  EXPECT_EQ(Makespan(TwoCollectives(kLarge), Engine::kEvent, {}), 2000);
  EXPECT_EQ(Makespan(TwoCollectives(kLarge), Engine::kAutomatic, {}), 2000);
  EXPECT_EQ(Makespan(TwoCollectives(kLarge), Engine::kEvent, {}, 2), 1000);
}

// Durations of the product, the memory-bound kernel and the first collective.
std::vector<int64_t> Durations(const cost::OverlapLosses& losses, int64_t ranks_per_node) {
  const auto simulation =
      Simulate({{TwoCollectives(kSmall)}}, Prices(), {.layout = ranks_per_node, .engine = Engine::kEvent, .overlap_losses = losses});
  HELM_CHECK(simulation.ok(), simulation.status().message().c_str());
  std::vector<int64_t> durations(3);
  for (const ir::TimelineEvent& event : simulation->timeline.events) {
    const std::string& stream = simulation->timeline.streams[static_cast<size_t>(event.stream)].name;
    if (stream == "host") continue;
    if (event.op.value == 2) durations[0] = event.duration.picoseconds();
    if (event.op.value == 3) durations[1] = event.duration.picoseconds();
    if (event.op.value == 0) durations[2] = event.duration.picoseconds();
  }
  return durations;
}

// Nodes of two: one collective inside, one across. The product loses a quarter and a quarter: 300 / 0.5 = 600; the memory-bound kernel a
// half and a quarter: 30 / 0.25 = 120. While it runs a collective has 0.75 of its rate: it lacks 0.25 x 120 = 30 of its work.
TEST(Contention, KernelsAndCollectivesSlowEachOtherDown) {
  const cost::OverlapLosses losses{
      .inside = {.product = 0.25, .memory_bound = 0.5}, .network = {.product = 0.25, .memory_bound = 0.25}, .communication = 0.25};
  EXPECT_EQ(Durations(losses, 2), (std::vector<int64_t>{600, 120, 1030}));
}

// Both inside a node: a kind beside counts once, however many there are of it: 300 / 0.75, 30 / 0.5; 0.25 x 60.
TEST(Contention, ACollectiveOfTheSameKindTakesNoMore) {
  const cost::OverlapLosses losses{.inside = {.product = 0.25, .memory_bound = 0.5}, .network = {}, .communication = 0.25};
  EXPECT_EQ(Durations(losses, 4), (std::vector<int64_t>{400, 60, 1015}));
}

// A product of 10 us beside a collective of 10 us, with nothing else to do.
ir::Program ProductBesideCollective(const std::string& device) {
  return ProgramFromText("helm-program/1\nprogram two device=" + device + R"(
mesh tensor=2
group tensor = [tensor]
storage x: 16 bytes input persistent
tensor %x: f32[4] @x
storage w: 16 bytes input persistent
tensor %w: f32[2,2] @w
input x = %x
input w = %w
#0 %a: f32[4] @x = c10d.all_reduce(%x, "sum") {phase=forward group=tensor}
#1 %p: f32[2,2] = aten.mm(%w, %w) {phase=forward}
#2 c10d.wait(#0) {phase=forward group=tensor}
output a = %a
output p = %p
)");
}

// From a row of a cost table to the step. Measured: 10 and 10 us alone; started together the product ended at 12.5, the collective at 16.
// So the product keeps 10 / 12.5 = 0.8 of its rate, the collective (10 - 3.5) / 12.5 = 0.52. Simulated: the product ends at 10 / 0.8
// = 12.5; the collective has done 0.52 x 12.5 = 6.5 by then and ends at 12.5 + 3.5 = 16, on a CPU as on a GPU. Without the row: 10 on both.
TEST(Contention, MeasuredPairsTakeAsLongAsTheyWereMeasuredTo) {
  const auto us = [](double count) { return Duration::Microseconds(count); };
  const cost::PairTable pairs = {
      {"aten.mm(f32[2,2], f32[2,2]) beside all_reduce f32 ranks=2 per_node=2 bytes=16", {1, 1, us(10), us(10), us(12.5), us(16), 9}}};
  const cost::OverlapLosses losses = cost::WithMeasured({}, pairs);
  FakeEstimator prices;
  prices.SetHost(Ps(0), Ps(0), Ps(0)).Set("aten.mm", us(10)).Set("all_reduce", us(10));
  for (const std::string device : {"cpu", "cuda"}) {
    const auto makespan = [&](const cost::OverlapLosses& of) {
      const auto simulation =
          Simulate({{ProductBesideCollective(device)}}, prices, {.layout = 2, .engine = Engine::kAutomatic, .overlap_losses = of});
      HELM_CHECK(simulation.ok(), simulation.status().message().c_str());
      return simulation->makespan.microseconds();
    };
    EXPECT_DOUBLE_EQ(makespan(losses), 16) << device;
    EXPECT_DOUBLE_EQ(makespan({}), 10) << device;
  }
}

}  // namespace
}  // namespace helm::sim
