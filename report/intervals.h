// Sets of moments: sorted, disjoint, half-open intervals of time, and the arithmetic that busy and exposed times need.
//
// A sum of durations counts overlapping work twice; the measure of a union does not. Invariant: begin < end, and each interval ends before
// the next begins (touching ones are merged).
#pragma once

#include <vector>

#include "core/units.h"

namespace helm::report {

struct Interval {
  Duration begin;
  Duration end;
  bool operator==(const Interval&) const = default;
};

class IntervalSet {
 public:
  IntervalSet() = default;
  explicit IntervalSet(std::vector<Interval> intervals);  // in any order, overlapping; empty ones are dropped

  const std::vector<Interval>& intervals() const { return intervals_; }
  Duration Measure() const;
  bool operator==(const IntervalSet&) const = default;

 private:
  std::vector<Interval> intervals_;
};

IntervalSet Union(const IntervalSet& a, const IntervalSet& b);
IntervalSet Difference(const IntervalSet& a, const IntervalSet& b);

}  // namespace helm::report
