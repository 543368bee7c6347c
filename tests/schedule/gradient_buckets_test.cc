// Buckets of gradients: against all ways to cut a chain, simulated; what is joined of lowered steps; and where nothing is.
#include "schedule/gradient_buckets.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ir/program_text.h"
#include "ir/step_programs.h"
#include "ir/verify.h"
#include "schedule/joined_collectives.h"
#include "schedule/pass.h"
#include "sim/simulate.h"
#include "support/program_from_text.h"
#include "support/small_step.h"

namespace helm::schedule {
namespace {

// Collectives take a latency and so much for each byte, copies so much for each byte that they read, abs takes `abs` for each element of
// its result, and everything else takes no time.
struct Costs : cost::Estimator {
  Duration latency, per_byte, copy_per_byte, abs;

  Result<cost::Estimate> EstimateOp(const ir::OpSignature& op) const override {
    const int64_t bytes = ir::BytesRead(op).count();
    const Duration duration = op.target == "aten.cat"       ? copy_per_byte * bytes
                              : op.target == "aten.abs.out" ? abs * (bytes / 8)
                                                            : Duration();
    return cost::Estimate{duration, cost::Source::kMeasured, Bytes()};
  }
  Result<cost::Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override {
    return cost::Estimate{latency + per_byte * collective.bytes.count(), cost::Source::kMeasured, Bytes()};
  }
  Result<cost::HostCosts> EstimateHost() const override {
    return cost::HostCosts{Duration(), Duration(), Duration(), cost::Source::kMeasured};
  }
};

Duration Us(int64_t count) { return Duration::Nanoseconds(1000 * count); }

// Gradients of so many elements, each computed and then reduced, by all_reduce or by reduce_scatter; the optimizer reads what comes out.
std::string ChainText(const std::vector<int64_t>& elements, bool scatters) {
  std::string text = "helm-program/1\nprogram p device=cuda\nmesh data=2\ngroup data = [data]\n";
  std::string ops, waits;
  for (size_t i = 0; i < elements.size(); ++i) {
    text += fmt::format("storage x{0}: {1} bytes input persistent\nstorage g{0}: {1} bytes gradient persistent\n", i, 4 * elements[i]);
    text += fmt::format("tensor %x{0}: f32[{1}] @x{0}\ntensor %g{0}: f32[{1}] @g{0}\ninput x{0} = %x{0}\n", i, elements[i]);
    ops += fmt::format("#{0} %w{1}: f32[{2}] @g{1} = aten.abs.out(%x{1}, %g{1}) {{layer=0}}\n", 2 * i, i, elements[i]);
    ops += scatters ? fmt::format("#{0} %r{1}: f32[{2}] = c10d.reduce_scatter(%w{1}, \"sum\") {{layer=0 group=data}}\n", 2 * i + 1, i,
                                  elements[i] / 2)
                    : fmt::format("#{0} %r{1}: f32[{2}] @g{1} = c10d.all_reduce(%w{1}, \"sum\") {{layer=0 group=data}}\n", 2 * i + 1, i,
                                  elements[i]);
    const size_t wait = 2 * elements.size() + 2 * i;
    waits += fmt::format("#{0} c10d.wait(#{1}) {{layer=0 group=data}}\n", wait, 2 * i + 1);
    waits += fmt::format("#{0} %y{1}: f32[{2}] = aten.neg(%r{1}) {{layer=0}}\n", wait + 1, i, scatters ? elements[i] / 2 : elements[i]);
  }
  for (size_t i = 0; i < elements.size(); ++i) waits += fmt::format("output y{0} = %y{0}\n", i);
  return text + ops + waits;
}

Duration TimeOf(const ir::Program& program, const cost::Estimator& costs) {
  EXPECT_EQ(ir::Verify(program).message(), "");
  sim::SimulationOptions options;
  options.layout = 2;
  options.record_timeline = false;
  const auto simulated = sim::Simulate(ir::StepPrograms{{program}}, costs, options);
  EXPECT_TRUE(simulated.ok()) << simulated.status().message();
  return simulated.ok() ? simulated->makespan : Duration();
}

GradientBuckets Joined(const ir::Program& program, const cost::Estimator& costs, std::optional<Bytes> memory_more = {}) {
  sim::PriceBook prices(costs, 2);
  auto joined = JoinGradientBuckets(program, prices, memory_more);
  HELM_CHECK(joined.ok(), joined.status().message().c_str());
  EXPECT_EQ(ir::Verify(joined->program).message(), "");
  return std::move(joined).value();
}

int64_t Count(const ir::Program& program, std::string_view target) { return std::ranges::count(program.ops, target, &ir::Op::target); }

// Every way to cut the chain: bit i of `cuts` says whether a bucket ends behind collective i.
Duration FastestOfAllCuts(const ir::Program& program, const cost::Estimator& costs) {
  const std::vector<CollectiveChain> chains = CollectiveChains(program);
  RC_ASSERT(chains.size() == 1U);
  const std::vector<ir::OpId>& starts = chains[0].starts;
  Duration fastest = TimeOf(program, costs);
  for (size_t cuts = 0; cuts < size_t{1} << (starts.size() - 1); ++cuts) {
    std::vector<std::vector<ir::OpId>> runs = {{}};
    for (size_t i = 0; i < starts.size(); ++i) {
      runs.back().push_back(starts[i]);
      if ((cuts >> i & 1U) != 0) runs.push_back({});
    }
    std::erase_if(runs, [](const std::vector<ir::OpId>& run) { return run.size() < 2; });
    fastest = std::min(fastest, TimeOf(JoinCollectives(program, runs).value(), costs));
  }
  return fastest;
}

RC_GTEST_PROP(GradientBucketsProperty, AreTheFastestOfAllCuts, ()) {
  const auto scatters = *rc::gen::arbitrary<bool>();
  const auto halves = *rc::gen::container<std::vector<int64_t>>(*rc::gen::inRange<size_t>(2, 7), rc::gen::inRange<int64_t>(1, 20));
  std::vector<int64_t> elements;
  for (const int64_t half : halves) elements.push_back(2 * half);
  const ir::Program program = test::ProgramFromText(ChainText(elements, scatters));
  Costs costs;
  costs.latency = Us(*rc::gen::inRange<int64_t>(0, 100));
  costs.per_byte = Us(*rc::gen::inRange<int64_t>(0, 4));
  costs.copy_per_byte = Us(*rc::gen::inRange<int64_t>(0, 2));
  costs.abs = Us(*rc::gen::inRange<int64_t>(0, 10));
  RC_ASSERT(TimeOf(Joined(program, costs).program, costs) == FastestOfAllCuts(program, costs));
}

// Three gradients of 8 bytes, ready at 10, 20 and 30; a reduction takes 100 and 1 a byte. Alone: 118, 226, 334. All as one: 30 + 124 = 154.
TEST(GradientBuckets, PayTheLatencyOnce) {
  const ir::Program program = test::ProgramFromText(ChainText({2, 2, 2}, false));
  Costs costs;
  costs.latency = Us(100);
  costs.per_byte = Us(1);
  costs.abs = Us(5);
  EXPECT_EQ(TimeOf(program, costs), Us(334));
  const GradientBuckets joined = Joined(program, costs);
  EXPECT_EQ(TimeOf(joined.program, costs), Us(154));
  EXPECT_EQ(Count(joined.program, "c10d.all_reduce"), 1);
  EXPECT_EQ(Count(joined.program, "aten.cat"), 0);
  EXPECT_EQ(joined.program.storages.size(), program.storages.size() - 2);  // one buffer instead of three
  ASSERT_EQ(joined.reasons.size(), 2U);
  EXPECT_NE(joined.reasons[0].find("3 of c10d.all_reduce"), std::string::npos) << joined.reasons[0];
}

// What is reduced by scattering is copied together: without room for the copies of all three (24 bytes) only two are joined.
TEST(GradientBuckets, KeepTheMemoryBudget) {
  const ir::Program program = test::ProgramFromText(ChainText({2, 2, 2}, true));
  Costs costs;
  costs.latency = Us(100);
  EXPECT_EQ(Count(Joined(program, costs).program, "c10d.reduce_scatter"), 1);
  EXPECT_EQ(Count(Joined(program, costs, Bytes(23)).program, "c10d.reduce_scatter"), 2);
  const GradientBuckets none = Joined(program, costs, Bytes(15));
  EXPECT_EQ(ir::ToText(none.program), ir::ToText(program));
}

// Without latency a collective on more is no faster, and later.
TEST(GradientBuckets, LeaveTheProgramWhereNothingPays) {
  const ir::Program program = test::ProgramFromText(ChainText({2, 2, 2}, false));
  Costs costs;
  costs.per_byte = Us(1);
  costs.abs = Us(5);
  const GradientBuckets joined = Joined(program, costs);
  EXPECT_EQ(ir::ToText(joined.program), ir::ToText(program));
  ASSERT_EQ(joined.reasons.size(), 1U);
}

// One parameter a bucket: all are reduced, and with ZeRO gathered, as one where only latency counts. Beside them the loss is reduced.
ir::Program SmallBuckets(int64_t zero) {
  ir::Software software;
  software.gradient_bucket_bytes = 1;
  ir::Strategy strategy;
  strategy.data = 2;
  strategy.zero = zero;
  return test::StepOf(test::SmallModel(2), strategy, 1, ir::DeviceKind::kCuda, software).classes.front();
}

TEST(GradientBuckets, OfALoweredStep) {
  Costs costs;
  costs.latency = Us(100);
  const ir::Program reduced = SmallBuckets(0), scattered = SmallBuckets(1);
  ASSERT_GT(Count(reduced, "c10d.all_reduce"), 4);
  EXPECT_EQ(Count(Joined(reduced, costs).program, "c10d.all_reduce"), 2);
  ASSERT_GT(Count(scattered, "c10d.reduce_scatter"), 4);
  const GradientBuckets joined = Joined(scattered, costs);
  EXPECT_EQ(Count(joined.program, "c10d.reduce_scatter"), 1);
  EXPECT_EQ(Count(joined.program, "c10d.all_gather"), 1);
}

// With ZeRO 3 the scatter of one layer ends before the next begins; the two of what is no layer's (with weight decay and without) do not.
TEST(GradientBuckets, LeaveLayersThatAreScatteredOneByOne) {
  Costs costs;
  costs.latency = Us(100);
  const ir::Program program = SmallBuckets(3);
  EXPECT_EQ(Count(Joined(program, costs).program, "c10d.reduce_scatter"), Count(program, "c10d.reduce_scatter") - 1);
}

TEST(GradientBuckets, NeedPrices) {
  const Status status = RunPass("gradient_buckets", SmallBuckets(0)).status();
  EXPECT_NE(status.message().find("it needs to know how long each op takes"), std::string::npos);
}

}  // namespace
}  // namespace helm::schedule
