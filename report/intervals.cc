#include "report/intervals.h"

#include <algorithm>
#include <utility>

namespace helm::report {

IntervalSet::IntervalSet(std::vector<Interval> intervals) {
  std::erase_if(intervals, [](const Interval& interval) { return interval.begin >= interval.end; });
  std::ranges::sort(intervals, {}, &Interval::begin);
  for (const Interval& interval : intervals) {
    if (!intervals_.empty() && interval.begin <= intervals_.back().end) {
      intervals_.back().end = std::max(intervals_.back().end, interval.end);
    } else {
      intervals_.push_back(interval);
    }
  }
}

Duration IntervalSet::Measure() const {
  Duration sum;
  for (const Interval& interval : intervals_) sum += interval.end - interval.begin;
  return sum;
}

IntervalSet Union(const IntervalSet& a, const IntervalSet& b) {
  std::vector<Interval> both = a.intervals();
  both.insert(both.end(), b.intervals().begin(), b.intervals().end());
  return IntervalSet(std::move(both));
}

IntervalSet Difference(const IntervalSet& a, const IntervalSet& b) {
  std::vector<Interval> rest;
  auto cut = b.intervals().begin();
  for (Interval left : a.intervals()) {
    while (cut != b.intervals().end() && cut->end <= left.begin) ++cut;
    for (auto next = cut; next != b.intervals().end() && next->begin < left.end; ++next) {
      rest.push_back({left.begin, next->begin});  // empty ones are dropped by the constructor
      left.begin = std::min(next->end, left.end);
    }
    rest.push_back(left);
  }
  return IntervalSet(std::move(rest));
}

}  // namespace helm::report
