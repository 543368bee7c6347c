// Strands: pairs of actions, and programs of the lowering whose forwards and backwards run beside each other.
#include "schedule/strands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "cost/pair_losses.h"
#include "ir/program_text.h"
#include "ir/verify.h"
#include "schedule/accept.h"
#include "schedule/action_pairs.h"
#include "schedule/pass.h"
#include "schedule/pipeline_schedule.h"
#include "sim/simulate.h"
#include "support/small_step.h"

namespace helm::schedule {
namespace {

using test::SmallModel;
using test::StepOf;
using testing::HasSubstr;

std::string Paired(const std::string& row) {
  ir::Program program;
  program.schedule = ir::ParseSchedule(row).value();
  return ToText(PairActions(program).schedule);
}

// Alone on a stage a backward is paired with the forward behind it; in a pipeline a forward with the backward behind it. A micro-batch is
// never paired with itself, and backwards without weight gradients not at all.
TEST(PairActions, PairsAForwardAndABackwardOfDifferentMicroBatches) {
  EXPECT_EQ(Paired("0F0,0B0,0F1,0B1,0F2,0B2"), "0F0,(0F1;0B0)OVERLAP_F_B,(0F2;0B1)OVERLAP_F_B,0B2");
  EXPECT_EQ(Paired("0F0,0F1,0B0,0F2,0B1,0B2"), "0F0,(0F1;0B0)OVERLAP_F_B,(0F2;0B1)OVERLAP_F_B,0B2");
  EXPECT_EQ(Paired("0F0,0I1,0W1,0F1,0B1"), "0F0,0I1,0W1,0F1,0B1");
}

// Of the schedules of two stages: 1f1b with pairs keeps 2 (p - 1 - stage) + 1 forwards ahead; of dualpipev every pair that it names.
TEST(PairActions, FitsTheSchedulesOfPairs) {
  ir::Strategy strategy{.pipeline = 2, .schedule = "1f1b", .overlap = "strands"};
  const auto one = PipelineSchedules(strategy, 4).value();
  EXPECT_EQ(ToText(one[0]), "0F0,0F1,0F2,0F3,0B0,0B1,0B2,0B3");
  EXPECT_EQ(ToText(one[1]), "1F0,1F1,1B0,1F2,1B1,1F3,1B2,1B3");
  strategy.schedule = "interleaved-1f1b";
  strategy.virtual_pipeline = 2;
  const auto several = PipelineSchedules(strategy, 4).value();
  // As without pairs, 2 (p - 1 - stage) + (v - 1) p = 4 and 2 ahead, and one more.
  EXPECT_EQ(ToText(several[1]), "1F0,1F1,3F0,3F1,3B0,1F2,3B1,1F3,1B0,3F2,1B1,3F3,3B2,3B3,1B2,1B3");
  strategy.schedule = "dualpipev";
  ir::Program program;
  program.schedule = PipelineSchedules(strategy, 5).value()[1];
  const ir::Schedule paired = PairActions(program).schedule;
  // The last stage pairs m - 2p + stage + 1 = 3 forwards of each of its chunks with backwards of the other.
  EXPECT_EQ(std::ranges::count(paired, ir::ActionKind::kOverlap, &ir::Action::kind), 6) << ToText(paired);
}

// Durations by the names of operators, a collective three times as long as an average op.
class NamedEstimator : public cost::Estimator {
 public:
  Result<cost::Estimate> EstimateOp(const ir::OpSignature& op) const override { return Of(op.target, 40'000); }
  Result<cost::Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override {
    return Of(collective.kind, 120'000);
  }
  Result<cost::HostCosts> EstimateHost() const override {
    return cost::HostCosts{Duration(), Duration(), Duration(), cost::Source::kAnalytic};
  }

 private:
  static Result<cost::Estimate> Of(const std::string& name, int64_t most) {
    int64_t hash = 17;
    for (const char c : name) hash = (hash * 31 + c) % 1'000'003;
    return cost::Estimate{Duration::Nanoseconds(1 + hash % most), cost::Source::kAnalytic, Bytes()};
  }
};

struct Lowered {
  ir::Strategy strategy;
  ir::StepPrograms step;
};

// Any strategy whose strands may be interleaved, and its programs.
Lowered RandomLowered(bool alone) {
  Lowered lowered;
  ir::Strategy& strategy = lowered.strategy;
  strategy.overlap = "strands";
  strategy.tensor = *rc::gen::element<int64_t>(1, 2);
  strategy.sequence_parallel = strategy.tensor > 1 && *rc::gen::arbitrary<bool>();
  strategy.recompute = *rc::gen::element<std::string>("none", "selective", "full");
  const bool experts = *rc::gen::arbitrary<bool>();
  if (!alone) {
    strategy.data = *rc::gen::element<int64_t>(1, 2);
    strategy.zero = strategy.data > 1 ? *rc::gen::element<int64_t>(0, 1) : 0;
    strategy.pipeline = *rc::gen::element<int64_t>(1, 2, 3, 4);
  }
  if (strategy.pipeline > 1) {
    strategy.schedule = *rc::gen::element<std::string>("1f1b", "interleaved-1f1b", "dualpipev");
    strategy.virtual_pipeline = strategy.schedule == "1f1b" ? 1 : strategy.schedule == "dualpipev" ? 2 : *rc::gen::element<int64_t>(2, 3);
  }
  if (experts && strategy.tensor > 1) {
    strategy.expert = strategy.sequence_parallel ? 2 : 1;  // the exchange over the tensor ranks, or each expert split over them
    strategy.expert_tensor = strategy.sequence_parallel ? 1 : 2;
  } else if (experts) {
    strategy.expert = strategy.data;
  }
  int64_t micro_batches = *rc::gen::element<int64_t>(2, 3) * strategy.pipeline;
  if (strategy.schedule == "1f1b") micro_batches = *rc::gen::inRange<int64_t>(2 * strategy.pipeline - 1, 3 * strategy.pipeline + 1);
  const ir::DeviceKind device = *rc::gen::element(ir::DeviceKind::kCpu, ir::DeviceKind::kCuda);
  lowered.step = StepOf(SmallModel(strategy.virtual_pipeline * strategy.pipeline, experts), strategy, micro_batches, device);
  return lowered;
}

ir::StepPrograms Interleave(const ir::StepPrograms& step, sim::PriceBook& prices) {
  ir::StepPrograms changed;
  for (const ir::Program& program : step.classes) {
    auto result = RunPass("strands", program, {.prices = &prices});
    if (!result.ok()) RC_FAIL(result.status().message());
    changed.classes.push_back(std::move(result).value());
  }
  return changed;
}

// What an op is, wherever it stands.
std::string NameOf(const ir::Program& program, const ir::Op& op) {
  std::string name = op.target + " " + op.label;
  for (const ir::TensorId tensor : ir::TensorArguments(op)) name += " " + program.tensor(tensor).name;
  for (const ir::TensorId tensor : op.results) name += tensor.valid() ? " " + program.tensor(tensor).name : " -";
  return name;
}

// The ops of the micro-batch, in their order.
std::vector<std::string> OpsOf(const ir::Program& program, int32_t micro_batch) {
  std::vector<std::string> names;
  for (const ir::Op& op : program.ops) {
    if (op.micro_batch == micro_batch) names.push_back(NameOf(program, op));
  }
  return names;
}

// Whatever the strategy: valid programs, by themselves and together; each micro-batch's ops in the order that they had, none added or
// lost; a step that runs to its end, whose stages do not wait for each other for ever.
RC_GTEST_PROP(StrandsProperty, KeepsEveryMicroBatchAsItWas, ()) {
  const Lowered lowered = RandomLowered(false);
  const NamedEstimator estimator;
  sim::PriceBook prices(estimator, 8);
  const ir::StepPrograms changed = Interleave(lowered.step, prices);
  const Status together = ir::VerifyStep(changed);
  if (!together.ok()) RC_FAIL(together.message());
  int64_t pairs = 0;
  for (size_t c = 0; c < changed.classes.size(); ++c) {
    const ir::Program &before = lowered.step.classes[c], &after = changed.classes[c];
    RC_ASSERT(before.ops.size() == after.ops.size());
    for (int32_t micro_batch = -1; micro_batch < 9; ++micro_batch) RC_ASSERT(OpsOf(before, micro_batch) == OpsOf(after, micro_batch));
    pairs += std::ranges::count(after.schedule, ir::ActionKind::kOverlap, &ir::Action::kind);
  }
  RC_ASSERT(pairs > 0);
  const auto simulation = sim::Simulate(changed, prices, {.layout = 8, .record_timeline = false});
  if (!simulation.ok()) RC_FAIL(simulation.status().message());
}

// A stage on its own, without contention, is what the search sees: never slower than one strand after the other; the same program when run
// again.
RC_GTEST_PROP(StrandsProperty, IsNeverSlowerOnOneStage, ()) {
  Lowered lowered = RandomLowered(true);
  for (ir::Program& program : lowered.step.classes) program.device = ir::DeviceKind::kCuda;
  const NamedEstimator estimator;
  sim::PriceBook prices(estimator, 8);
  const ir::StepPrograms changed = Interleave(lowered.step, prices);
  const sim::SimulationOptions options{.layout = 8, .record_timeline = false};
  const auto before = sim::Simulate(lowered.step, prices, options), after = sim::Simulate(changed, prices, options);
  RC_ASSERT(before.ok() && after.ok());
  RC_ASSERT(after->makespan <= before->makespan);
  RC_ASSERT(ir::ToText(Interleave(changed, prices)) == ir::ToText(changed));
}

// With tensor parallelism it is faster, and kept; the choice is told. Of one micro-batch nothing can be paired, and memory may forbid it.
TEST(Strands, IsKeptWhereItIsFaster) {
  ir::Strategy strategy{.tensor = 2, .overlap = "strands"};
  strategy.sequence_parallel = true;
  const NamedEstimator estimator;
  sim::PriceBook prices(estimator, 8);
  const sim::SimulationOptions options{.layout = 8};
  const ir::StepPrograms step = StepOf(SmallModel(4), strategy, 4, ir::DeviceKind::kCuda);
  const auto better = RunPassesIfBetter(step, {"strands"}, prices, options, std::nullopt);
  ASSERT_TRUE(better.ok()) << better.status().message();
  EXPECT_TRUE(better->accepted) << better->reason;
  EXPECT_LT(better->time_after.seconds(), 0.9 * better->time_before.seconds()) << better->reason;
  ASSERT_FALSE(better->choices.empty());
  EXPECT_THAT(better->choices.front(), testing::StartsWith("(0F1;0B0)OVERLAP_F_B: "));
  const auto single = RunPassesIfBetter(StepOf(SmallModel(4), strategy, 1, ir::DeviceKind::kCuda), {"strands"}, prices, options, {});
  ASSERT_TRUE(single.ok()) << single.status().message();
  EXPECT_FALSE(single->accepted);
  EXPECT_THAT(single->choices, testing::ElementsAre(HasSubstr("no forward of a micro-batch is next to the backward of another")));
  const auto large = RunPassesIfBetter(step, {"strands"}, prices, options, better->peak_after - Bytes(1));
  ASSERT_TRUE(large.ok()) << large.status().message();
  EXPECT_FALSE(large->accepted);
  EXPECT_THAT(large->reason, HasSubstr("so the program stays as it was"));
}

// 0.3 of a product's rate lost beside a collective inside a node, 0.1 beside one between nodes: 0.7 and 0.9 are saved; of other kernels
// what the worse of the two keeps.
TEST(Strands, TakesEfficienciesFromContention) {
  ir::Strategy strategy{.data = 2, .tensor = 2};
  const ir::StepPrograms step = StepOf(SmallModel(2), strategy, 2, ir::DeviceKind::kCuda);
  const cost::OverlapLosses losses{
      .inside = {.product = 0.3, .memory_bound = 0.2}, .network = {.product = 0.1, .memory_bound = 0.05}, .communication = 0.1};
  const ir::Program& program = step.classes.front();
  const std::vector<OverlapEfficiency> efficiencies = EfficienciesOf(program, losses, /*layout=*/2);
  ASSERT_EQ(efficiencies.size(), program.groups.size());
  for (size_t g = 0; g < efficiencies.size(); ++g) {
    const std::string& name = program.groups[g].name;
    if (name != "tensor" && name != "data") continue;
    EXPECT_DOUBLE_EQ(efficiencies[g].product, name == "tensor" ? 0.7 : 0.9);
    EXPECT_DOUBLE_EQ(efficiencies[g].memory_bound, name == "tensor" ? 0.8 : 0.9);
  }
}

// A row of a table says that a product of 10 beside a collective of 10 takes 20 together: nothing is saved, and nothing is paired. One that
// says 10: as much as can be, as without a table. What was not measured keeps the contention model's.
TEST(Strands, PairsOtherwiseWhereMeasuredPairsSaySo) {
  const auto losses_of = [](int64_t together) {
    const auto us = [](int64_t count) { return Duration::Microseconds(static_cast<double>(count)); };
    cost::PairTable pairs;
    for (const char* op : {"aten.mm(f32[2,2], f32[2,2])", "aten.neg(f32[4])"}) {
      pairs[op + std::string(" beside all_reduce f32 ranks=2 per_node=2 bytes=16")] = {1, 1, us(10), us(10), us(together), us(together), 9};
    }
    return cost::WithMeasured({}, pairs);
  };
  ir::Strategy strategy{.tensor = 2, .overlap = "strands"};
  const ir::StepPrograms step = StepOf(SmallModel(2), strategy, 2, ir::DeviceKind::kCuda);
  const NamedEstimator estimator;
  sim::PriceBook prices(estimator, 8);
  const auto interleaved = [&](const cost::OverlapLosses& losses) {
    return InterleaveStrands(step.classes.front(), prices, losses).value();
  };
  const Strands modelled = interleaved({}), saves = interleaved(losses_of(10)), useless = interleaved(losses_of(20));
  EXPECT_EQ(ir::ToText(ir::StepPrograms{{saves.program}}), ir::ToText(ir::StepPrograms{{modelled.program}}));
  EXPECT_NE(ir::ToText(ir::StepPrograms{{useless.program}}), ir::ToText(ir::StepPrograms{{modelled.program}}));
  EXPECT_NE(useless.reasons, modelled.reasons);
  const std::vector<OverlapEfficiency> efficiencies = EfficienciesOf(step.classes.front(), losses_of(15), /*layout=*/2);
  const auto tensor = std::ranges::find(step.classes.front().groups, "tensor", &ir::Group::name) - step.classes.front().groups.begin();
  // (10 + 10 - 15) / 10
  EXPECT_DOUBLE_EQ(efficiencies[static_cast<size_t>(tensor)].product, 0.5);
  EXPECT_DOUBLE_EQ(efficiencies[static_cast<size_t>(tensor)].memory_bound, 0.5);
}

TEST(Strands, SaysWhyItRefuses) {
  const auto refusal = [](const ir::Strategy& strategy, const ir::Software& software = {}) {
    return CheckOverlap(SmallModel(2), ir::Workload{.global_batch = 6}, software, strategy).message();
  };
  ir::Strategy strategy{.tensor = 2, .overlap = "strands"};
  EXPECT_EQ(refusal(strategy), "");
  EXPECT_EQ(refusal({.data = 2, .zero = 1, .overlap = "strands"}), "");
  EXPECT_THAT(refusal({.data = 2, .zero = 3, .overlap = "strands"}), HasSubstr("not possible where parameters are sharded"));
  EXPECT_THAT(refusal({.pipeline = 2, .schedule = "zb-h1", .overlap = "strands"}),
              HasSubstr("which schedule zb-h1 does not put beside each other\n  fix: one of none, 1f1b, interleaved-1f1b, dualpipev"));
  // Two stages whose pairs are of the same two micro-batches would wait for each other: 7 are needed on 4 stages, and 8 of two chunks each.
  EXPECT_EQ(refusal({.pipeline = 3, .schedule = "1f1b", .overlap = "strands"}), "");
  EXPECT_THAT(refusal({.pipeline = 4, .schedule = "1f1b", .overlap = "strands"}),
              HasSubstr("needs at least 7 micro-batches with schedule 1f1b on 4 stages, and there are 6"));
  EXPECT_THAT(refusal({.pipeline = 4, .virtual_pipeline = 2, .schedule = "interleaved-1f1b", .overlap = "strands"}),
              HasSubstr("needs at least 8 micro-batches"));
  ir::Software software;
  software.hidden_dropout = 0.1;
  EXPECT_EQ(refusal(strategy, software), "");
  strategy.recompute = "full";
  EXPECT_THAT(refusal(strategy, software), HasSubstr("would draw other random numbers"));
  const auto no_prices = RunPass("strands", ir::Program{}, {});
  EXPECT_THAT(no_prices.status().message(), HasSubstr("it needs to know how long each op takes"));
}

}  // namespace
}  // namespace helm::schedule
