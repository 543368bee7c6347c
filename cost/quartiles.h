// Quartiles: what a row of a cost table says about the samples behind it.
#pragma once

#include <vector>

#include "core/units.h"

namespace helm::cost {

// The value at a fraction (0: the smallest, 0.5: the median) of sorted samples, by linear interpolation. REQUIRES: at least one sample.
Duration AtFraction(const std::vector<Duration>& sorted, double fraction);

// The middle and the quartiles of samples, and the mean of all but the slowest hundredth (rounded up), which is the machine doing something
// else. REQUIRES: at least one sample.
struct Quartiles {
  Duration lower;
  Duration median;
  Duration upper;
  Duration mean;
};
Quartiles QuartilesOf(std::vector<Duration> samples);

}  // namespace helm::cost
