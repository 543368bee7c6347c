// Interpolation between measured points: pure numbers, no ops, no units.
//
// InterpolateScattered works in the logarithm of the coordinates on a value that varies slowly (an efficiency, not a time:
// techniques.md 6.2); TransferCurve is time against bytes of one collective (techniques.md 5.3).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace helm::cost {

// The factor beyond the measured range up to which a neighbour's efficiency is still taken to hold.
inline constexpr double kExtrapolationFactor = 2.0;

// One measured point: coordinates (natural logarithms) and the logarithm of the value there.
struct ScatteredPoint {
  std::vector<double> coordinates;
  double log_value = 0;
};

// The value at `query` by a locally weighted linear fit through the nearest points (weights 1/distance^2): exact on a straight line between
// two points; directions in which no neighbour differs contribute nothing (the fit of least norm). The result stays within the values of
// the neighbours used. None when there is no point, or the query lies outside the box of all points by more than kExtrapolationFactor in a
// coordinate. REQUIRES: all points and the query have the same number of coordinates.
std::optional<double> InterpolateScattered(std::span<const ScatteredPoint> points, std::span<const double> query);

struct TransferPoint {
  double bytes = 0;
  double seconds = 0;
};

struct TransferTime {
  double seconds = 0;
  bool within_range = false;  // false: beyond the measured sizes, by the latency and bandwidth of the two points at that end
};

// REQUIRES: points sorted by bytes, all distinct and positive. None with fewer than two points, unless the size is measured.
std::optional<TransferTime> InterpolateTransfer(std::span<const TransferPoint> points, double bytes);

}  // namespace helm::cost
