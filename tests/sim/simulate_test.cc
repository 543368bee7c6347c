#include "sim/simulate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/text.h"
#include "support/fake_estimator.h"
#include "support/program_from_text.h"

namespace helm::sim {
namespace {

using test::FakeEstimator;
using test::ProgramFromText;

Duration Ps(int64_t count) { return Duration::Picoseconds(count); }

// "compute #3 5..15": stream, op, start and end in picoseconds.
std::vector<std::string> Drawn(const ir::Timeline& timeline) {
  std::vector<std::string> lines;
  for (const ir::TimelineEvent& event : timeline.events) {
    lines.push_back(fmt::format("{} #{} {}..{}", timeline.streams[static_cast<size_t>(event.stream)].name, event.op.value,
                                event.start.picoseconds(), (event.start + event.duration).picoseconds()));
  }
  return lines;
}

std::vector<int32_t> Numbers(const std::vector<ir::OpId>& ops) {
  std::vector<int32_t> numbers;
  for (const ir::OpId op : ops) numbers.push_back(op.value);
  return numbers;
}

std::string Parts(const Breakdown& breakdown) {
  return fmt::format("compute {} exposed {} bubble {} optimizer {} host {}", breakdown.compute.picoseconds(),
                     breakdown.exposed_communication.picoseconds(), breakdown.bubble.picoseconds(), breakdown.optimizer.picoseconds(),
                     breakdown.host.picoseconds());
}

// Launches cost 1 each, starting a collective 2 more, waiting 4 more.
FakeEstimator Prices() {
  FakeEstimator prices;
  prices.SetHost(Ps(1), Ps(2), Ps(4)).Set("aten.relu", Ps(100)).Set("aten.neg", Ps(10)).Set("all_reduce", Ps(1000));
  return prices;
}

std::string Overlapped(const std::string& device) {
  return "helm-program/1\nprogram overlapped device=" + device + R"(
mesh tensor=2
group tensor = [tensor]
storage x: 40 bytes input persistent
tensor %x: f32[10] @x
input x = %x
#0 %a: f32[10] = aten.relu(%x) {phase=forward}
#1 %reduced: f32[10] @a = c10d.all_reduce(%a, "sum") {phase=forward group=tensor}
#2 %b: f32[10] = aten.neg(%x) {phase=forward}
#3 c10d.wait(#1) {phase=forward group=tensor}
#4 %c: f32[10] = aten.neg(%reduced) {phase=optimizer}
output b = %b
output c = %c
)";
}

Simulation MustSimulate(const ir::Program& program, const cost::Estimator& estimator, const SimulationOptions& options = {}) {
  auto simulation = Simulate({{program}}, estimator, options);
  HELM_CHECK(simulation.ok(), simulation.status().message().c_str());
  return std::move(simulation).value();
}

// 64 bits of picoseconds end after 107 days: nothing beyond is called a time.
TEST(Simulate, RefusesStepsOfMonths) {
  FakeEstimator prices = Prices();
  prices.Set("aten.relu", Ps(int64_t{9'000'000'000'000'000'000}));
  const auto beyond = Simulate({{ProgramFromText(Overlapped("cuda"))}}, prices, {});
  EXPECT_THAT(beyond.status().message(), testing::HasSubstr("the step takes more than 104 days, at op 1 (c10d.all_reduce"));
}

// On a GPU the host runs ahead:
//
//   host     |0:1|1:1+2|2:1|3:1+4|4:1|                    0..1, 1..4, 4..5, 5..10, 10..11
//   compute      |0: 100 |2: 10|........ wait ........|4|  1..101, 101..111, wait until 1101, 1101..1111
//   tensor               |1: 1000                     |    101..1101: after the work launched before it, not after its own launch at 4
//
// Idle on compute: 0..1 for the host, 111..1101 for the collective. The path: launch 0, 0, 1, 4: 1 + 100 + 1000 + 10 = 1111.
TEST(Simulate, OnGpuHostRunsAheadAndCollectiveOverlaps) {
  const Simulation simulation = MustSimulate(ProgramFromText(Overlapped("cuda")), Prices());
  EXPECT_EQ(simulation.makespan, Ps(1111));
  EXPECT_THAT(
      Drawn(simulation.timeline),
      testing::ElementsAre("host #0 0..1", "compute #0 1..101", "host #1 1..4", "communication.tensor #1 101..1101", "host #2 4..5",
                           "compute #2 101..111", "host #3 5..10", "compute #3 111..1101", "host #4 10..11", "compute #4 1101..1111"));
  EXPECT_EQ(Parts(simulation.breakdown), "compute 110 exposed 990 bubble 0 optimizer 10 host 1");
  EXPECT_EQ(Numbers(simulation.critical_path), (std::vector<int32_t>{0, 1, 4}));
}

// CUDA_LAUNCH_BLOCKING=1: every launch waits for what was launched before it, the collective included, and nothing overlaps.
//
//   host     |0:1|        |1:1+2|            |2:1|      |3:1+4|4:1|      0..1, 101..104, 1104..1105, 1115..1120, 1120..1121
//   compute      |0: 100|                        |2: 10|          |4: 10|
//   tensor                      |1: 1000     |                           104..1104
TEST(Simulate, LaunchesMayBlock) {
  const Simulation simulation = MustSimulate(ProgramFromText(Overlapped("cuda")), Prices().BlockLaunches());
  EXPECT_EQ(simulation.makespan, Ps(1131));
  EXPECT_THAT(Drawn(simulation.timeline),
              testing::ElementsAre("host #0 0..1", "compute #0 1..101", "host #1 101..104", "communication.tensor #1 104..1104",
                                   "host #2 1104..1105", "compute #2 1105..1115", "host #3 1115..1120", "compute #3 1120..1120",
                                   "host #4 1120..1121", "compute #4 1121..1131"));
}

// The host launches the wait (#3) at 5 and runs ahead; where it reads the gradient norm first, here the result of #2, which ends at 111
// (101 for #0, then 10), it does so then.
TEST(Simulate, TheHostMayReadTheGradientNorm) {
  std::string text = Overlapped("cuda");
  text.replace(text.find("output b"), 8, "output gradient_norm");
  const ir::Program program = ProgramFromText(text);
  EXPECT_THAT(Drawn(MustSimulate(program, Prices()).timeline), testing::Contains("host #3 5..10"));
  const Simulation waits = MustSimulate(program, Prices().ReadTheNorm());
  EXPECT_THAT(Drawn(waits.timeline), testing::IsSupersetOf({"compute #2 101..111", "host #3 111..116"}));
}

// On a CPU one thread launches and computes; the collective runs in the background and takes no cores:
//
//   thread   |l0|0: 100|l1:3|l2|2:10|l3:5|.. wait ..|l4|4:10|
//            0  1     101  104 105  115  120       1104 1105 1115
//   tensor                  |1: 1000               |            104..1104
TEST(Simulate, OnCpuThreadComputesAndWaits) {
  const Simulation simulation = MustSimulate(ProgramFromText(Overlapped("cpu")), Prices());
  EXPECT_EQ(simulation.makespan, Ps(1115));
  EXPECT_THAT(Drawn(simulation.timeline),
              testing::ElementsAre("host #0 0..1", "compute #0 1..101", "host #1 101..104", "communication.tensor #1 104..1104",
                                   "host #2 104..105", "compute #2 105..115", "host #3 115..120", "compute #3 120..1104",
                                   "host #4 1104..1105", "compute #4 1105..1115"));
  EXPECT_EQ(Parts(simulation.breakdown), "compute 110 exposed 984 bubble 0 optimizer 10 host 11");
  EXPECT_EQ(Numbers(simulation.critical_path), (std::vector<int32_t>{0, 1, 3, 4}));
}

// The same where the collective needs the cores: op 2 starts only when it has ended.
//
//   thread   |l0|0: 100|l1:3|l2|.........|2:10|l3:5||l4|4:10|
//            0  1     101  104 105     1104 1114 1119 1120 1130
//   tensor                  |1: 1000    |
//
// The collective costs 1104 - 105 = 999 of idle time; nothing is left to wait for at op 3.
TEST(Simulate, OnCpuCollectiveMayTakeTheCores) {
  const Simulation simulation =
      MustSimulate(ProgramFromText(Overlapped("cpu")), Prices(), {.layout = 2, .communication_shares_cores = true});
  EXPECT_EQ(simulation.makespan, Ps(1130));
  EXPECT_THAT(Drawn(simulation.timeline),
              testing::ElementsAre("host #0 0..1", "compute #0 1..101", "host #1 101..104", "communication.tensor #1 104..1104",
                                   "host #2 104..105", "compute #2 1104..1114", "host #3 1114..1119", "compute #3 1119..1119",
                                   "host #4 1119..1120", "compute #4 1120..1130"));
  EXPECT_EQ(Parts(simulation.breakdown), "compute 110 exposed 999 bubble 0 optimizer 10 host 11");
  EXPECT_EQ(Numbers(simulation.critical_path), (std::vector<int32_t>{0, 1, 2, 3, 4}));
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
#2 %c: f32[10] = aten.neg(%a) {phase=forward stream=1}
#3 %d: f32[10] @x = aten.relu_(%x) {phase=forward}
output b = %b
output c = %c
)";

// Two compute streams, launches are free. Op 2 reads what op 0 wrote on the other stream; op 3 overwrites x, which op 1 must have read
// first.
//
//   compute     |0: 100        |3: 1000    |      0..100, 100..1100
//   compute.1   |1: 10|........|2: 10|            0..10, 100..110
//
// compute is idle 0, compute.1 idle 90 (for op 0) and 990 at the end. Mean over the two: compute (1100 + 20) / 2, bubble 1080 / 2.
TEST(Simulate, StreamsWaitForEachOthersMemory) {
  FakeEstimator prices;
  prices.Set("aten.relu", Ps(100)).Set("aten.neg", Ps(10)).Set("aten.relu_", Ps(1000));
  const Simulation simulation = MustSimulate(ProgramFromText(kTwoStreams), prices);
  EXPECT_THAT(Drawn(simulation.timeline),
              testing::ElementsAre("host #0 0..0", "compute #0 0..100", "host #1 0..0", "compute.1 #1 0..10", "host #2 0..0",
                                   "compute.1 #2 100..110", "host #3 0..0", "compute #3 100..1100"));
  EXPECT_EQ(Parts(simulation.breakdown), "compute 560 exposed 0 bubble 540 optimizer 0 host 0");
}

// The same with a slow op 1: now op 3 waits for the reader of the old x (write after read).
//
//   compute     |0: 100 |...............|3: 1000   |   op 3 at 5000
//   compute.1   |1: 5000                |2: 5000   |
TEST(Simulate, WriterWaitsForReadersOnOtherStreams) {
  FakeEstimator prices;
  prices.Set("aten.relu", Ps(100)).Set("aten.neg", Ps(5000)).Set("aten.relu_", Ps(1000));
  const Simulation simulation = MustSimulate(ProgramFromText(kTwoStreams), prices);
  EXPECT_THAT(Drawn(simulation.timeline), testing::Contains("compute #3 5000..6000"));
  EXPECT_EQ(simulation.makespan, Ps(10000));
}

constexpr std::string_view kTwoStarts = R"(helm-program/1
program starts device=cuda
mesh tensor=2 data=2
group tensor = [tensor]
group data = [data]
storage x: 40 bytes input persistent
tensor %x: f32[10] @x
input x = %x
#0 %a: f32[20] = c10d.all_gather(%x) {phase=forward group=tensor}
#1 %b: f32[20] = c10d.all_gather(%x) {phase=forward group=tensor}
#2 %c: f32[20] = c10d.all_gather(%x) {phase=forward group=data}
#3 %d: f32[20] = c10d.all_gather(%x) {phase=forward group=tensor}
#4 c10d.wait(#1) {phase=forward group=tensor}
#5 %e: f32[20] = aten.neg(%a) {phase=forward}
#6 c10d.wait(#2) {phase=forward group=data}
#7 c10d.wait(#3) {phase=forward group=tensor}
output b = %b
output c = %c
output d = %d
output e = %e
)";

// Collectives of one group run one after the other, groups beside each other; a wait ends the named start and the earlier ones of its group
// only.
//
//   tensor    |0: 100|1: 100|3: 100|
//   data      |2: 100|
//   compute   |.. wait 4 ...|5: 10 ||7|      wait for op 1 ends at 200 (op 3 still runs), wait 7 at 300
TEST(Simulate, WaitEndsItsStartAndEarlierOnesOfItsGroup) {
  FakeEstimator prices;
  prices.Set("all_gather", Ps(100)).Set("aten.neg", Ps(10));
  const Simulation simulation = MustSimulate(ProgramFromText(kTwoStarts), prices);
  EXPECT_THAT(Drawn(simulation.timeline),
              testing::IsSupersetOf({"communication.tensor #0 0..100", "communication.tensor #1 100..200", "communication.data #2 0..100",
                                     "communication.tensor #3 200..300", "compute #4 0..200", "compute #5 200..210", "compute #6 210..210",
                                     "compute #7 210..300"}));
  EXPECT_EQ(simulation.makespan, Ps(300));
}

constexpr std::string_view kViews = R"(helm-program/1
program views device=cpu
storage x: 40 bytes input persistent
tensor %x: f32[10] @x
input x = %x
#0 %v: f32[5,2] @x = view aten.view(%x, [5, 2]) {phase=forward}
#1 %a: f32[5,2] = aten.neg(%v) {phase=forward}
output a = %a
)";

TEST(Simulate, ViewTakesOnlyItsLaunch) {
  FakeEstimator prices;  // has no price for aten.view: it is never asked for
  prices.SetHost(Ps(3), Ps(0), Ps(0)).Set("aten.neg", Ps(10));
  const Simulation simulation = MustSimulate(ProgramFromText(kViews), prices);
  EXPECT_THAT(Drawn(simulation.timeline), testing::ElementsAre("host #0 0..3", "host #1 3..6", "compute #1 6..16"));
}

constexpr std::string_view kRegion = R"(helm-program/1
program region device=cuda
storage x: 40 bytes input persistent
tensor %x: f32[10] @x
input x = %x
#0 %a: f32[10] = aten.neg(%x) {phase=forward}
#1 %v: f32[5,2] @a = view aten.view(%a, [5, 2]) {phase=forward region=0}
#2 %b: f32[5,2] = aten.exp(%v) {phase=forward region=0}
#3 %c: f32[5,2] = aten.neg(%b) {phase=forward region=0}
#4 %d: f32[5,2] = aten.neg(%c) {phase=forward}
output d = %d
)";

// A fused kernel takes one launch and one price, at its first compute op: 3 + 10, then 7, then 10, with a launch of 3 each.
TEST(Simulate, ARegionIsLaunchedAndPricedOnce) {
  FakeEstimator prices;  // has no price for aten.exp: it is never asked for
  prices.SetHost(Ps(3), Ps(0), Ps(0)).Set("aten.neg", Ps(10)).Set("helm.region", Ps(7));
  const Simulation simulation = MustSimulate(ProgramFromText(kRegion), prices);
  EXPECT_EQ(simulation.makespan, Ps(3 + 10 + 7 + 10));
  EXPECT_EQ(simulation.timeline.events.size(), 5u + 4u);  // launches, of which three take time, and compute ops
  EXPECT_EQ(simulation.breakdown.compute, Ps(10 + 7 + 10));
}

// Where the host's price is from kernel to kernel, a view takes none of it.
TEST(Simulate, AViewIsPartOfTheWayToAKernel) {
  FakeEstimator prices;
  prices.SetHost(Ps(3), Ps(0), Ps(0)).LaunchKernelsOnly().Set("aten.neg", Ps(10));
  EXPECT_EQ(MustSimulate(ProgramFromText(kViews), prices).makespan, Ps(3 + 10));
}

// ... and neither does a wait: only its own price of 4. Launches at 0, 1 + 2, 1, 4, 1.
TEST(Simulate, AWaitIsPartOfTheWayToAKernel) {
  const Simulation simulation = MustSimulate(ProgramFromText(Overlapped("cuda")), Prices().LaunchKernelsOnly());
  EXPECT_THAT(Drawn(simulation.timeline), testing::IsSupersetOf({"host #2 4..5", "host #3 5..9", "host #4 9..10"}));
}

TEST(Simulate, DistinctSignatureIsAskedForOnce) {
  const FakeEstimator prices = Prices();
  MustSimulate(ProgramFromText(Overlapped("cuda")), prices);
  // Ops 2 and 4 read an input and an activation; both count as warm, so it is one signature.
  EXPECT_EQ(prices.asked(), (std::map<std::string, int>{{"aten.relu", 1}, {"aten.neg", 1}, {"all_reduce", 1}}));
}

TEST(Simulate, AllMissingPricesAreListed) {
  FakeEstimator prices;
  prices.Set("aten.neg", Ps(10));
  const auto simulation = Simulate({{ProgramFromText(Overlapped("cuda"))}}, prices, {});
  ASSERT_FALSE(simulation.ok());
  EXPECT_EQ(simulation.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(simulation.status().message(),
            "error: 2 of the costs that program 'overlapped' needs are not known; helm-profile measures them into a cost table:\n"
            "  aten.relu: no price\n  all_reduce: no price");
}

TEST(Simulate, AReasonThatManyHaveIsToldOnce) {
  const auto simulation = Simulate({{ProgramFromText(R"(helm-program/1
program four device=cpu
mesh tensor=1
storage x: 40 bytes input persistent
tensor %x: f32[10] @x
input x = %x
#0 %a: f32[10] = aten.relu(%x) {phase=forward}
#1 %b: f32[10] = aten.neg(%a) {phase=forward}
#2 %c: f32[10] = aten.exp(%b) {phase=forward}
#3 %d: f32[10] = aten.tanh(%c) {phase=forward}
output d = %d
)")}},
                                   FakeEstimator(), {});
  ASSERT_FALSE(simulation.ok());
  EXPECT_THAT(Split(simulation.status().message(), '\n'),
              testing::ElementsAre(testing::HasSubstr("4 of the costs"), "  no price, for 4 of them; the first is aten.relu"));
}

// 100 measured + 1000 interpolated + 2 x 10 analytic of 1120.
TEST(Simulate, SharesAreOfSummedDurations) {
  FakeEstimator prices = Prices();
  prices.Set("all_reduce", Ps(1000), Bytes(), cost::Source::kInterpolated).Set("aten.neg", Ps(10), Bytes(), cost::Source::kAnalytic);
  const Simulation simulation = MustSimulate(ProgramFromText(Overlapped("cuda")), prices);
  EXPECT_DOUBLE_EQ(simulation.shares.measured, 100.0 / 1120);
  EXPECT_DOUBLE_EQ(simulation.shares.interpolated, 1000.0 / 1120);
  EXPECT_DOUBLE_EQ(simulation.shares.analytic, 20.0 / 1120);
  EXPECT_EQ(simulation.timeline.ops[1].source, "interpolated");
  EXPECT_EQ(simulation.timeline.ops[3].source, "measured");  // a wait rests on the host's costs
}

TEST(Simulate, WithoutTimelineTheNumbersAreTheSame) {
  const ir::Program program = ProgramFromText(Overlapped("cuda"));
  const Simulation full = MustSimulate(program, Prices());
  const Simulation fast = MustSimulate(program, Prices(), {.record_timeline = false});
  EXPECT_EQ(fast.makespan, full.makespan);
  EXPECT_EQ(Parts(fast.breakdown), Parts(full.breakdown));
  EXPECT_EQ(fast.peak.bytes, full.peak.bytes);
  EXPECT_TRUE(fast.timeline.events.empty());
}

// All ranks of a ring send to the next one at the same time: what one receives comes when its own message has gone.
//
//   compute   relu 0-10   neg 10-30            abs 30-33
//   send                  to 14
//   recv                  to 14: the message that the one before sends as this one does its own
constexpr std::string_view kRing = R"(helm-program/1
program ring device=cuda
mesh context=4
group context = [context]
storage x: 40 bytes input persistent
tensor %x: f32[10] @x
input x = %x
#0 %a: f32[10] = aten.relu(%x) {phase=forward}
#1 c10d.send(%a, 1, 7) {phase=forward group=context batch=0}
#2 %d: f32[10] = c10d.recv(-1, 7) {phase=forward group=context batch=0}
#3 %b: f32[10] = aten.neg(%x) {phase=forward}
#4 c10d.wait(#2) {phase=forward group=context}
#5 %e: f32[10] = aten.abs(%d) {phase=forward}
output b = %b
output e = %e
)";

TEST(Simulate, RanksOfARingSendAndReceiveAtOnce) {
  const ir::StepPrograms step{{ProgramFromText(std::string(kRing))}};
  ASSERT_EQ(ir::VerifyStep(step).message(), "");
  FakeEstimator prices;
  for (const auto& [name, time] : {std::pair{"aten.relu", 10}, {"aten.neg", 20}, {"aten.abs", 3}, {"send", 4}}) prices.Set(name, Ps(time));
  const auto simulation = Simulate(step, prices, {});
  ASSERT_TRUE(simulation.ok()) << simulation.status().message();
  EXPECT_EQ(simulation->makespan, Ps(33));
  prices.Set("send", Ps(40));  // 10 to 50, both ways at once
  EXPECT_EQ(MustSimulate(step.classes[0], prices).makespan, Ps(53));
}

// Two stages: the first computes 10, sends (4), computes 20; the second computes 3, then receives and computes 5.
//
//   stage 0   first 0-10   last 10-30, its send 10-14 beside it
//   stage 1   own 0-3, waits 3-10 for the other stage (bubble), 10-14 for the transfer, then uses 14-19, then nothing to 30 (bubble)
constexpr std::string_view kTwoStages = R"(helm-program/1
program stage0 device=cuda
mesh pipeline=2
group pipeline = [pipeline]
storage x: 40 bytes input persistent
tensor %x: f32[10] @x
input x = %x
#0 %a: f32[10] = aten.relu(%x) {phase=forward}
#1 c10d.send(%a, 1, 7) {phase=forward group=pipeline}
#2 %b: f32[10] = aten.neg(%x) {phase=forward}
#3 c10d.wait(#1) {phase=forward group=pipeline}
output b = %b
helm-program/1
program stage1 device=cuda
mesh pipeline=2
group pipeline = [pipeline]
storage y: 40 bytes input persistent
tensor %y: f32[10] @y
input y = %y
#0 %c: f32[10] = aten.abs(%y) {phase=forward}
#1 %d: f32[10] = c10d.recv(-1, 7) {phase=forward group=pipeline}
#2 c10d.wait(#1) {phase=forward group=pipeline}
#3 %e: f32[10] = aten.add.Tensor(%c, %d) {phase=forward}
output e = %e
)";

ir::StepPrograms TwoStages(const std::string& text = std::string(kTwoStages)) {
  auto step = ir::ParseStepPrograms(text, "test");
  EXPECT_TRUE(step.ok()) << step.status().message();
  return step.ok() ? *step : ir::StepPrograms{};
}

FakeEstimator PricesOfStages() {
  FakeEstimator prices;
  for (const auto& [name, time] : {std::pair{"aten.relu", 10}, {"aten.neg", 20}, {"aten.abs", 3}, {"aten.add.Tensor", 5}, {"send", 4}})
    prices.Set(name, Ps(time));
  return prices;
}

TEST(Simulate, AMessageBeginsWhenBothStagesAreReady) {
  const ir::StepPrograms step = TwoStages();
  ASSERT_EQ(ir::VerifyStep(step).message(), "");
  const auto simulation = Simulate(step, PricesOfStages(), {});
  ASSERT_TRUE(simulation.ok()) << simulation.status().message();
  EXPECT_EQ(simulation->makespan, Ps(30));
  const Breakdown& first = simulation->breakdown_of_class[0];
  EXPECT_EQ(first.compute, Ps(30));
  EXPECT_EQ(first.exposed_communication + first.bubble, Ps(0));
  const Breakdown& second = simulation->breakdown_of_class[1];
  EXPECT_EQ(second.compute, Ps(8));
  EXPECT_EQ(second.exposed_communication, Ps(4));
  EXPECT_EQ(second.bubble, Ps(7 + 11));
  EXPECT_EQ(simulation->breakdown.bubble, Ps(18 / 2));  // the mean of the stages
}

// Launches take 1, so the message goes 11-15. A host that runs ahead has launched what uses it long before; one that waits for messages
// launches it at 15, so that it starts at 16.
TEST(Simulate, TheHostMayWaitForMessages) {
  const auto start_of_last = [](const FakeEstimator& prices) {
    const auto simulation = Simulate(TwoStages(), prices, {});
    EXPECT_TRUE(simulation.ok());
    Duration start;
    for (const ir::TimelineEvent& event : simulation->timeline.events) {
      if (event.op.value == 7) start = std::max(start, event.start);  // its launch and the op itself
    }
    return start;
  };
  FakeEstimator prices = PricesOfStages();
  prices.SetHost(Ps(1), Ps(0), Ps(0));
  EXPECT_EQ(start_of_last(prices), Ps(15));
  EXPECT_EQ(start_of_last(prices.WaitForMessages()), Ps(16));
}

TEST(Simulate, TheTimelineNumbersTheOpsOfAllStages) {
  const auto simulation = Simulate(TwoStages(), PricesOfStages(), {});
  ASSERT_TRUE(simulation.ok());
  const ir::Timeline& timeline = simulation->timeline;
  ASSERT_EQ(timeline.ops.size(), 8U);
  EXPECT_EQ(timeline.ranks.size(), 2U);
  std::vector<std::string> transfers;
  for (const ir::TimelineEvent& event : timeline.events) {
    const ir::Stream& stream = timeline.streams[static_cast<size_t>(event.stream)];
    if (stream.kind != ir::Stream::Kind::kCommunication) continue;
    transfers.push_back(fmt::format("rank {} op {} {} {}-{}", event.rank, event.op.value, stream.name, event.start.picoseconds(),
                                    (event.start + event.duration).picoseconds()));
  }
  EXPECT_THAT(transfers, testing::UnorderedElementsAre("rank 0 op 1 communication.pipeline.send+1 10-14",
                                                       "rank 1 op 5 communication.pipeline.recv+1 10-14"));
}

TEST(Simulate, StagesThatWaitForEachOtherAreNamed) {
  std::string text(kTwoStages);
  text.replace(text.find("(-1, 7)"), 7, "(-1, 8)");
  const ir::StepPrograms step = TwoStages(text);
  EXPECT_THAT(ir::VerifyStep(step).message(), testing::HasSubstr("with tag 7"));
  const auto simulation = Simulate(step, PricesOfStages(), {});
  ASSERT_FALSE(simulation.ok());
  EXPECT_THAT(simulation.status().message(), testing::HasSubstr("stage1 at #2 c10d.wait, for stage0 to meet #1 c10d.recv"));
}

}  // namespace
}  // namespace helm::sim
