// The lattice against all interleavings of small streams, one by one.
#include "schedule/lattice.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>

namespace helm::schedule {
namespace {

LatticeStep Compute(int64_t duration) { return {.kind = StepKind::kCompute, .duration = duration}; }
LatticeStep Start(int64_t duration, size_t channel = 0) { return {.kind = StepKind::kStart, .duration = duration, .channel = channel}; }
LatticeStep Wait(size_t start) { return {.kind = StepKind::kWait, .start = start}; }

std::vector<bool> Word(const std::string& text) {
  std::vector<bool> from_b;
  for (const char c : text) from_b.push_back(c == 'B');
  return from_b;
}

// Each stream: compute 1, send 4, compute 1 behind it. Alone 6, one after the other 12. A's message runs from 1 to 5; B computes from 1 to
// 2, its message follows on the channel from 5 to 9; A ends at 6, B at 10.
TEST(Lattice, PlaysChannelsInOrder) {
  const std::vector<LatticeStep> stream = {Compute(1), Start(4), Wait(1), Compute(1)};
  EXPECT_EQ(Play(stream, stream, 1, Word("AAAABBBB")).makespan, 12);
  EXPECT_EQ(Play(stream, stream, 1, Word("AABBAABB")).makespan, 10);
  // On channels of their own B's message runs from 2 to 6.
  const std::vector<LatticeStep> apart = {Compute(1), Start(4, 1), Wait(1), Compute(1)};
  EXPECT_EQ(Play(stream, apart, 2, Word("AABBAABB")).makespan, 7);
}

TEST(Lattice, FindsThatOrder) {
  const std::vector<LatticeStep> stream = {Compute(1), Start(4), Wait(1), Compute(1)};
  const auto found = FastestInterleaving(stream, stream, 1);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->makespan, 10);
  EXPECT_EQ(Play(stream, stream, 1, found->from_b).makespan, 10);
}

// Each stream holds 3 bytes from its first step to its last: both at once are 6, one after the other 3.
TEST(Lattice, KeepsTheMemoryBudget) {
  std::vector<LatticeStep> stream = {Compute(1), Start(4), Wait(1), Compute(1)};
  stream[0].allocates = 3;
  stream[3].frees = 3;
  EXPECT_EQ(FastestInterleaving(stream, stream, 1)->memory_peak, 6);
  const auto tight = FastestInterleaving(stream, stream, 1, {.memory_budget = Bytes(5)});
  ASSERT_TRUE(tight.has_value());
  EXPECT_EQ(tight->makespan, 12);
  EXPECT_EQ(tight->memory_peak, 3);
  EXPECT_FALSE(FastestInterleaving(stream, stream, 1, {.memory_budget = Bytes(2)}).has_value());
}

std::vector<LatticeStep> RandomStream() {
  std::vector<LatticeStep> steps;
  std::vector<size_t> open;
  const auto count = *rc::gen::inRange<size_t>(1, 7);
  for (size_t i = 0; i < count; ++i) {
    const auto kind = *rc::gen::inRange(0, 3);
    if (kind == 2 && !open.empty()) {
      steps.push_back(Wait(open.back()));
      open.pop_back();
    } else if (kind == 1) {
      open.push_back(i);
      steps.push_back(Start(*rc::gen::inRange<int64_t>(0, 9), *rc::gen::inRange<size_t>(0, 2)));
    } else {
      steps.push_back(Compute(*rc::gen::inRange<int64_t>(0, 9)));
    }
    steps.back().allocates = *rc::gen::inRange<int64_t>(0, 3);
    steps.back().frees = *rc::gen::inRange<int64_t>(0, 3);
  }
  return steps;
}

// B's steps may need A's, never the other way around, so that some order exists.
void AddNeeds(const std::vector<LatticeStep>& a, std::vector<LatticeStep>& b) {
  for (LatticeStep& step : b) {
    if (*rc::gen::inRange(0, 3) == 0) step.after = *rc::gen::inRange<size_t>(0, a.size() + 1);
  }
}

// The fastest of all orders whose peak is within the budget.
int64_t FastestOfAll(const std::vector<LatticeStep>& a, const std::vector<LatticeStep>& b, int64_t budget) {
  std::vector<bool> word(a.size(), false);
  word.insert(word.end(), b.size(), true);
  int64_t best = std::numeric_limits<int64_t>::max();
  do {
    size_t gone_a = 0, gone_b = 0;
    bool legal = true;
    for (const bool from_b : word) {
      legal = legal && (!from_b || b[gone_b].after <= gone_a);
      ++(from_b ? gone_b : gone_a);
    }
    if (!legal) continue;
    const Interleaving played = Play(a, b, 2, word);
    if (played.memory_peak <= budget) best = std::min(best, played.makespan);
  } while (std::next_permutation(word.begin(), word.end()));
  return best;
}

RC_GTEST_PROP(LatticeProperty, IsTheFastestOfAllOrders, ()) {
  const std::vector<LatticeStep> a = RandomStream();
  std::vector<LatticeStep> b = RandomStream();
  AddNeeds(a, b);
  const auto found = FastestInterleaving(a, b, 2, {.beam = 1000});
  RC_ASSERT(found.has_value());
  RC_ASSERT(found->makespan == FastestOfAll(a, b, std::numeric_limits<int64_t>::max()));
  const Interleaving played = Play(a, b, 2, found->from_b);
  RC_ASSERT(played.makespan == found->makespan && played.memory_peak == found->memory_peak);
}

RC_GTEST_PROP(LatticeProperty, IsTheFastestWithinTheBudget, ()) {
  const std::vector<LatticeStep> a = RandomStream();
  std::vector<LatticeStep> b = RandomStream();
  AddNeeds(a, b);
  const auto budget = *rc::gen::inRange<int64_t>(0, 20);
  const auto found = FastestInterleaving(a, b, 2, {.beam = 1000, .memory_budget = Bytes(budget)});
  const int64_t best = FastestOfAll(a, b, budget);
  RC_ASSERT(found.has_value() == (best < std::numeric_limits<int64_t>::max()));
  RC_ASSERT(!found || (found->makespan == best && found->memory_peak <= budget));
}

// A narrow beam may miss the best order, never return a wrong one.
RC_GTEST_PROP(LatticeProperty, ANarrowBeamIsLegal, ()) {
  const std::vector<LatticeStep> a = RandomStream();
  std::vector<LatticeStep> b = RandomStream();
  AddNeeds(a, b);
  const auto found = FastestInterleaving(a, b, 2, {.beam = 1});
  RC_ASSERT(found.has_value());
  RC_ASSERT(Play(a, b, 2, found->from_b).makespan == found->makespan);
}

}  // namespace
}  // namespace helm::schedule
