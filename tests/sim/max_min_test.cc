#include "sim/max_min.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <vector>

namespace helm::sim {
namespace {

struct Sharer {
  int64_t flow;
  Rate ceiling;
  std::vector<ResourceUse> uses;
};

std::vector<Rate> Solve(const std::vector<int64_t>& capacities, const std::vector<Sharer>& sharers) {
  std::vector<SharedFlow> flows;
  for (const Sharer& sharer : sharers) flows.push_back({sharer.flow, sharer.ceiling, sharer.uses});
  std::vector<Rate> rates(flows.size());
  MaxMinShares(capacities).Solve(flows, rates);
  return rates;
}

Sharer Link(int64_t flow, std::vector<uint32_t> links) {
  Sharer sharer{flow, kFullRate, {}};
  for (const uint32_t link : links) sharer.uses.push_back({link, 1});
  return sharer;
}

TEST(MaxMin, AloneRunsAtFullRate) {
  EXPECT_EQ(Solve({50}, {Link(50, {0})}), std::vector<Rate>{kFullRate});
  EXPECT_EQ(Solve({}, {Link(50, {})}), std::vector<Rate>{kFullRate});
}

// A link of 50 and a task that wants 100 of it: half speed, alone.
TEST(MaxMin, SlowLinkSlowsDownEvenOne) { EXPECT_EQ(Solve({50}, {Link(100, {0})}), std::vector<Rate>{kFullRate / 2}); }

TEST(MaxMin, EqualTasksShareWithoutRounding) {
  for (size_t count = 1; count <= 40; ++count) {
    EXPECT_EQ(Solve({50}, std::vector<Sharer>(count, Link(50, {0}))), std::vector<Rate>(count, kFullRate / static_cast<int64_t>(count)));
  }
}

// Bertsekas and Gallager's kind of example. Links a, b, c, of capacity 60 each; every task wants 60.
//   0: a        1: a b      2: b c      3: b      4: c
// All grow together. b has three users and is full at 20: tasks 1, 2, 3 stay at 20. Then a leaves 60 - 20 = 40 to task 0, c leaves 40 to
// task 4.
TEST(MaxMin, ThreeLinksFillUpOneAfterTheOther) {
  EXPECT_EQ(Solve({60, 60, 60}, {Link(60, {0}), Link(60, {0, 1}), Link(60, {1, 2}), Link(60, {1}), Link(60, {2})}),
            (std::vector<Rate>{kFullRate * 2 / 3, kFullRate / 3, kFullRate / 3, kFullRate / 3, kFullRate * 2 / 3}));
}

// A link of 100. Task 0 can move 10 at most (its own NIC), tasks 1 and 2 100 each. 0 keeps 10, the others get 45 each.
TEST(MaxMin, SlowTaskKeepsItsFlowAndOthersShareTheRest) {
  EXPECT_EQ(Solve({100}, {Link(10, {0}), Link(100, {0}), Link(100, {0})}),
            (std::vector<Rate>{kFullRate, kFullRate * 45 / 100, kFullRate * 45 / 100}));
}

// As above, but task 0 could move 100 and contention holds it at a tenth of its rate.
TEST(MaxMin, CeilingCountsLikeASlowLink) {
  const Sharer slowed{100, kFullRate / 10, {{0, 1}}};
  EXPECT_EQ(Solve({100}, {slowed, Link(100, {0}), Link(100, {0})}),
            (std::vector<Rate>{kFullRate / 10, kFullRate * 45 / 100, kFullRate * 45 / 100}));
  EXPECT_EQ(Solve({100}, {Sharer{100, 0, {{0, 1}}}, Link(100, {0})}), (std::vector<Rate>{0, kFullRate}));
}

// Memory bandwidth of 3: an all-reduce passes the memory twice for each byte (multiplicity 2), a copy once. At equal flow x: 2 x + x = 3,
// x = 1, so the all-reduce (flow 2) runs at 1/2 and the copy (flow 3) at 1/3.
TEST(MaxMin, MultiplicityCountsAgainstTheResource) {
  EXPECT_EQ(Solve({3}, {Sharer{2, kFullRate, {{0, 2}}}, Link(3, {0})}), (std::vector<Rate>{kFullRate / 2, kFullRate / 3}));
}

// Equal flows give equal slowdown whatever is moved: 132 SMs; a product wants all of them, a collective 44. r * (132 + 44) = 132: r = 3/4.
TEST(MaxMin, EqualFlowsSufferTheSameSlowdown) {
  EXPECT_EQ(Solve({132}, {Sharer{1, kFullRate, {{0, 132}}}, Sharer{1, kFullRate, {{0, 44}}}}),
            (std::vector<Rate>{kFullRate * 3 / 4, kFullRate * 3 / 4}));
}

// ---- Properties.

struct Instance {
  std::vector<int64_t> capacities;
  std::vector<Sharer> sharers;
};

Instance RandomInstance() {
  Instance instance;
  const auto resources = *rc::gen::inRange<uint32_t>(1, 6);
  for (uint32_t i = 0; i < resources; ++i) instance.capacities.push_back(*rc::gen::inRange<int64_t>(1, 1000));
  const auto count = *rc::gen::inRange<size_t>(1, 12);
  for (size_t i = 0; i < count; ++i) {
    Sharer sharer{*rc::gen::inRange<int64_t>(1, 1000), *rc::gen::element(kFullRate, kFullRate / 3, kFullRate / 7), {}};
    for (uint32_t resource = 0; resource < resources; ++resource) {
      if (*rc::gen::inRange(0, 3) == 0) sharer.uses.push_back({resource, *rc::gen::inRange<uint32_t>(1, 4)});
    }
    instance.sharers.push_back(std::move(sharer));
  }
  return instance;
}

// In units of 1 / kFullRate.
std::vector<__int128> Usage(const Instance& instance, const std::vector<Rate>& rates) {
  std::vector<__int128> usage(instance.capacities.size());
  for (size_t i = 0; i < rates.size(); ++i) {
    for (const ResourceUse& use : instance.sharers[i].uses) {
      usage[use.resource] += static_cast<__int128>(rates[i]) * instance.sharers[i].flow * use.multiplicity;
    }
  }
  return usage;
}

RC_GTEST_PROP(MaxMinProperty, NoResourceIsAboveItsCapacityAndNoTaskAboveItsCeiling, ()) {
  const Instance instance = RandomInstance();
  const std::vector<Rate> rates = Solve(instance.capacities, instance.sharers);
  const std::vector<__int128> usage = Usage(instance, rates);
  for (size_t i = 0; i < usage.size(); ++i) RC_ASSERT(usage[i] <= static_cast<__int128>(instance.capacities[i]) * kFullRate);
  for (size_t i = 0; i < rates.size(); ++i) RC_ASSERT(rates[i] >= 0 && rates[i] <= instance.sharers[i].ceiling);
}

// The characterisation of max-min fairness: each task is at its ceiling or has a resource that is full and on which nobody has a larger
// flow. Rounding: each of up to 12 users with flow below 1000 and multiplicity below 4 leaves less than flow x multiplicity.
RC_GTEST_PROP(MaxMinProperty, EveryTaskHasABottleneck, ()) {
  constexpr __int128 kSlack = 12 * 1000 * 4;
  const Instance instance = RandomInstance();
  const std::vector<Rate> rates = Solve(instance.capacities, instance.sharers);
  const std::vector<__int128> usage = Usage(instance, rates);
  const auto flow = [&](size_t i) { return static_cast<__int128>(rates[i]) * instance.sharers[i].flow; };
  for (size_t i = 0; i < rates.size(); ++i) {
    bool limited = rates[i] == instance.sharers[i].ceiling;
    for (const ResourceUse& use : instance.sharers[i].uses) {
      bool largest = usage[use.resource] + kSlack >= static_cast<__int128>(instance.capacities[use.resource]) * kFullRate;
      for (size_t j = 0; j < rates.size(); ++j) {
        const auto& uses = instance.sharers[j].uses;
        const bool on_it = std::any_of(uses.begin(), uses.end(), [&](const ResourceUse& other) { return other.resource == use.resource; });
        largest = largest && (!on_it || flow(j) <= flow(i) + kSlack);
      }
      limited = limited || largest;
    }
    RC_ASSERT(limited);
  }
}

RC_GTEST_PROP(MaxMinProperty, OrderOfTheTasksDoesNotMatter, ()) {
  Instance instance = RandomInstance();
  std::vector<Rate> rates = Solve(instance.capacities, instance.sharers);
  std::reverse(instance.sharers.begin(), instance.sharers.end());
  std::reverse(rates.begin(), rates.end());
  RC_ASSERT(Solve(instance.capacities, instance.sharers) == rates);
}

}  // namespace
}  // namespace helm::sim
