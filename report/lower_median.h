// LowerMedian: the middle of some durations, the lower one of two: one that was measured, where a mean of two was not.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/units.h"

namespace helm::report {

// REQUIRES: at least one value.
inline Duration LowerMedian(std::vector<Duration> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace helm::report
