#include "report/intervals.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <utility>
#include <vector>

namespace helm::report {
namespace {

IntervalSet Set(const std::vector<std::pair<int, int>>& pairs) {
  std::vector<Interval> intervals;
  for (const auto& [begin, end] : pairs) intervals.push_back({Duration::Picoseconds(begin), Duration::Picoseconds(end)});
  return IntervalSet(std::move(intervals));
}

TEST(IntervalSet, MergesOverlappingAndTouchingDropsEmpty) {
  EXPECT_EQ(Set({{5, 9}, {1, 3}, {3, 4}, {7, 7}, {6, 12}}), Set({{1, 4}, {5, 12}}));
  EXPECT_EQ(Set({{5, 9}, {1, 3}, {3, 4}, {6, 12}}).Measure(), Duration::Picoseconds(3 + 7));
}

TEST(IntervalSet, DifferenceCutsOnBothSides) {
  // [0,10) and [20,30) without [5,7), [9,22), [29,40): [0,5) [7,9) [22,29).
  EXPECT_EQ(Difference(Set({{0, 10}, {20, 30}}), Set({{5, 7}, {9, 22}, {29, 40}})), Set({{0, 5}, {7, 9}, {22, 29}}));
  EXPECT_EQ(Difference(Set({{3, 4}}), Set({{0, 10}})), IntervalSet());
  EXPECT_EQ(Difference(Set({{3, 4}}), IntervalSet()), Set({{3, 4}}));
}

constexpr int kMoments = 48;

std::array<bool, kMoments> Moments(const IntervalSet& set) {
  std::array<bool, kMoments> moments{};
  for (const Interval& interval : set.intervals()) {
    for (int64_t i = interval.begin.picoseconds(); i < interval.end.picoseconds(); ++i) moments.at(static_cast<size_t>(i)) = true;
  }
  return moments;
}

// Against sets of single moments, which need no algorithm.
RC_GTEST_PROP(IntervalSet, AgreesWithSetsOfMoments, ()) {
  const auto random_set = [] {
    std::vector<std::pair<int, int>> pairs;
    for (int i = *rc::gen::inRange(0, 7); i > 0; --i) {
      const int begin = *rc::gen::inRange(0, kMoments);
      pairs.emplace_back(begin, *rc::gen::inRange(begin, kMoments + 1));
    }
    return Set(pairs);
  };
  const IntervalSet a = random_set();
  const IntervalSet b = random_set();
  std::array<bool, kMoments> both{};
  std::array<bool, kMoments> rest{};
  for (size_t i = 0; i < kMoments; ++i) {
    both[i] = Moments(a)[i] || Moments(b)[i];
    rest[i] = Moments(a)[i] && !Moments(b)[i];
  }
  RC_ASSERT(Moments(Union(a, b)) == both);
  RC_ASSERT(Moments(Difference(a, b)) == rest);
}

}  // namespace
}  // namespace helm::report
