// What is done on all rows at once: chosen by the lattice, against all orders and merges one by one; and the programs that come of it.
#include "schedule/bucketing.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>

#include "ir/program_text.h"
#include "ir/verify.h"
#include "model/lower.h"
#include "model/model_spec.h"
#include "schedule/pass.h"
#include "schedule/pipeline_schedule.h"
#include "schedule/tiling.h"
#include "support/fake_estimator.h"
#include "support/program_from_text.h"

namespace helm::schedule {
namespace {

LatticeStep Compute(int64_t duration) { return {.kind = StepKind::kCompute, .duration = duration}; }
LatticeStep Start(int64_t duration) { return {.kind = StepKind::kStart, .duration = duration}; }
LatticeStep Wait(size_t start) { return {.kind = StepKind::kWait, .start = start}; }

// Each stream computes 3 and sends 4 behind it: in turn A's message runs from 3 to 7, B's from 7 to 11. Both computations as one of 4 end
// at 4: the messages run to 8 and 12, later. As one of 2: to 6 and 10, sooner.
TEST(LatticeMerges, AreTakenWhereTheyPay) {
  const std::vector<LatticeStep> stream = {Compute(3), Start(4), Wait(1)};
  const auto with = [&](int64_t duration) {
    return *FastestInterleaving(stream, stream, 1, {.merges = {{.a = 0, .b = 0, .count = 1, .duration = duration}}});
  };
  EXPECT_EQ(with(4).makespan, 11);
  EXPECT_TRUE(with(4).merged.empty());
  EXPECT_EQ(with(2).makespan, 10);
  EXPECT_EQ(with(2).merged, std::vector<size_t>{0});
  EXPECT_EQ(with(2).from_b.size(), 6U);
}

// The copies of a merge count while it runs: 5 bytes are too many for a budget of 4.
TEST(LatticeMerges, KeepTheMemoryBudget) {
  const std::vector<LatticeStep> stream = {Compute(3), Start(4), Wait(1)};
  const std::vector<LatticeMerge> merges = {{.a = 0, .b = 0, .count = 1, .duration = 2, .allocates = 5}};
  const auto roomy = FastestInterleaving(stream, stream, 1, {.memory_budget = Bytes(5), .merges = merges});
  EXPECT_EQ(roomy->makespan, 10);
  EXPECT_EQ(roomy->memory_peak, 5);
  EXPECT_EQ(FastestInterleaving(stream, stream, 1, {.memory_budget = Bytes(4), .merges = merges})->makespan, 11);
}

// All orders and merges, by trying.
struct Trial {
  const std::vector<LatticeStep>&a, &b;
  const std::vector<LatticeMerge>& merges;
  int64_t best = std::numeric_limits<int64_t>::max();

  void Go(size_t i, size_t j, int64_t compute, int64_t channel, std::vector<int64_t> ends_a, std::vector<int64_t> ends_b) {
    if (i == a.size() && j == b.size()) best = std::min(best, std::max(compute, channel));
    for (const LatticeMerge& merge : merges) {
      if (merge.a == i && merge.b == j) Go(i + merge.count, j + merge.count, compute + merge.duration, channel, ends_a, ends_b);
    }
    if (i < a.size()) Step(a, i, i + 1, j, compute, channel, ends_a, ends_b, ends_a);
    if (j < b.size()) Step(b, j, i, j + 1, compute, channel, ends_a, ends_b, ends_b);
  }

  void Step(const std::vector<LatticeStep>& steps, size_t at, size_t i, size_t j, int64_t compute, int64_t channel,
            std::vector<int64_t>& ends_a, std::vector<int64_t>& ends_b, std::vector<int64_t>& ends) {
    const std::vector<int64_t> kept = ends;
    const LatticeStep& step = steps[at];
    if (step.kind == StepKind::kCompute) compute += step.duration;
    if (step.kind == StepKind::kStart) ends[at] = channel = std::max(channel, compute) + step.duration;
    if (step.kind == StepKind::kWait) compute = std::max(compute, ends[step.start]);
    Go(i, j, compute, channel, ends_a, ends_b);
    ends = kept;
  }
};

RC_GTEST_PROP(LatticeMergesProperty, AreTheFastestOfAllOrdersAndMerges, ()) {
  std::vector<LatticeStep> stream;
  const auto parts = *rc::gen::inRange<size_t>(1, 3);
  for (size_t part = 0; part < parts; ++part) {
    stream.push_back(Compute(*rc::gen::inRange<int64_t>(0, 9)));
    stream.push_back(Start(*rc::gen::inRange<int64_t>(0, 9)));
    stream.push_back(Wait(stream.size() - 1));
  }
  stream.push_back(Compute(*rc::gen::inRange<int64_t>(0, 9)));
  stream.push_back(Compute(*rc::gen::inRange<int64_t>(0, 9)));
  std::vector<LatticeMerge> merges;
  for (size_t at = 0; at < stream.size(); ++at) {
    if (stream[at].kind != StepKind::kCompute) continue;
    merges.push_back({.a = at, .b = at, .count = 1, .duration = *rc::gen::inRange<int64_t>(0, 18)});
  }
  merges.push_back({.a = stream.size() - 2, .b = stream.size() - 2, .count = 2, .duration = *rc::gen::inRange<int64_t>(0, 30)});
  const auto found = FastestInterleaving(stream, stream, 1, {.beam = 1000, .merges = merges});
  Trial trial{stream, stream, merges};
  trial.Go(0, 0, 0, 0, std::vector<int64_t>(stream.size(), 0), std::vector<int64_t>(stream.size(), 0));
  RC_ASSERT(found->makespan == trial.best);
  RC_ASSERT(found->from_b.size() == 2 * stream.size());
}

constexpr std::string_view kTwoBranches = R"(helm-program/1
program p device=cuda
mesh tensor=2
group tensor = [tensor]
storage x: 64 bytes input persistent
tensor %x: f32[4,4] @x
input x = %x
#0 %a: f32[4,4] = aten.abs(%x) {layer=0}
#1 %b: f32[4,4] = aten.cos(%a) {layer=0}
#2 %c: f32[4,4] = aten.neg(%b) {layer=0}
#3 %d: f32[4,4] @c = c10d.all_reduce(%c, "sum") {layer=0 group=tensor}
#4 c10d.wait(#3) {layer=0 group=tensor}
#5 %e: f32[4,4] = aten.sin(%d) {layer=0}
output e = %e
)";

// abs and cos take 10 us on any number of rows, sin 1 us, putting rows together `copy`.
test::FakeEstimator FixedCosts(int64_t copy) {
  const auto us = [](int64_t count) { return Duration::Nanoseconds(1000 * count); };
  test::FakeEstimator estimator;
  estimator.Set("aten.abs", us(10)).Set("aten.cos", us(10)).Set("aten.sin", us(1)).Set("aten.neg", us(1));
  estimator.Set("all_reduce", us(2)).Set("aten.cat", us(copy));
  return estimator;
}

Result<Bucketed> BucketedOf(const ir::Program& program, const cost::Estimator& estimator) {
  sim::PriceBook prices(estimator, 2);
  auto bucketed = Bucket(program, 2, prices);
  EXPECT_TRUE(bucketed.ok()) << bucketed.status().message();
  EXPECT_EQ(bucketed.ok() ? ir::Verify(bucketed->program).message() : "", "");
  return bucketed;
}

int64_t Count(const ir::Program& program, std::string_view target) {
  return std::ranges::count_if(program.ops, [&](const ir::Op& op) { return op.target == target; });
}

// Two ops as one take half as long; the input is there as a whole, so that nothing is copied before them.
TEST(Bucket, PutsTogetherWhatIsCheaperSo) {
  const auto bucketed = BucketedOf(test::ProgramFromText(std::string(kTwoBranches)), FixedCosts(1000));
  ASSERT_TRUE(bucketed.ok());
  EXPECT_EQ(Count(bucketed->program, "aten.abs"), 1);
  EXPECT_EQ(Count(bucketed->program, "aten.cos"), 1);
  EXPECT_EQ(Count(bucketed->program, "c10d.all_reduce"), 2);
  EXPECT_EQ(Count(bucketed->program, "aten.sin"), 2);  // their rows are apart, and a copy costs more than it saves
  ASSERT_FALSE(bucketed->reasons.empty());
  EXPECT_TRUE(bucketed->reasons[0].starts_with("bucket: aten.abs, aten.cos")) << bucketed->reasons[0];
}

// Where halves take half as long and copies something, it is the tiled program.
TEST(Bucket, IsTilesWhereNothingPays) {
  const ir::Program program = test::ProgramFromText(std::string(kTwoBranches));
  test::FakeEstimator free = FixedCosts(1000);
  for (const char* target : {"aten.abs", "aten.cos", "aten.sin", "aten.neg"}) free.Set(target, Duration());
  const auto bucketed = BucketedOf(program, free);
  ASSERT_TRUE(bucketed.ok());
  EXPECT_EQ(ir::ToText(bucketed->program), ir::ToText(Tile(program, 2).value()));
  EXPECT_TRUE(bucketed->reasons.empty());
}

TEST(Bucket, SaysWhatItNeeds) {
  const ir::Program program = test::ProgramFromText(std::string(kTwoBranches));
  EXPECT_NE(RunPass("bucket", program).status().message().find("--pass bucket: it needs to know how long each op takes"),
            std::string::npos);
  const test::FakeEstimator estimator = FixedCosts(1);
  sim::PriceBook prices(estimator, 2);
  EXPECT_NE(Bucket(program, 3, prices).status().message().find("only two are put together again"), std::string::npos);
}

}  // namespace
}  // namespace helm::schedule
