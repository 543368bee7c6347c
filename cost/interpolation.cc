#include "cost/interpolation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <Eigen/Dense>

#include "core/check.h"

namespace helm::cost {
namespace {

// More neighbours than the coordinates of a batched matrix product (4) need for a plane; few enough to stay local.
constexpr size_t kNeighbours = 8;
// Keeps the weight of a point that coincides with the query finite; the square of a distance of 0.1 %.
constexpr double kDistanceFloor = 1e-6;

bool InReach(std::span<const ScatteredPoint> points, std::span<const double> query) {
  const double slack = std::log(kExtrapolationFactor) + 1e-9;  // rounding: a factor of exactly 2 is still allowed
  for (size_t axis = 0; axis < query.size(); ++axis) {
    const auto [low, high] = std::minmax_element(points.begin(), points.end(), [axis](const ScatteredPoint& a, const ScatteredPoint& b) {
      return a.coordinates[axis] < b.coordinates[axis];
    });
    if (query[axis] < low->coordinates[axis] - slack || query[axis] > high->coordinates[axis] + slack) return false;
  }
  return true;
}

struct Neighbour {
  double distance_squared = 0;
  const ScatteredPoint* point = nullptr;
};

// Nearest first; among equals the order of `points`.
std::vector<Neighbour> Nearest(std::span<const ScatteredPoint> points, std::span<const double> query) {
  std::vector<Neighbour> all;
  all.reserve(points.size());
  for (const ScatteredPoint& point : points) {
    HELM_CHECK(point.coordinates.size() == query.size(), "points and query have the same coordinates");
    double sum = 0;
    for (size_t axis = 0; axis < query.size(); ++axis) sum += std::pow(point.coordinates[axis] - query[axis], 2);
    all.push_back({sum, &point});
  }
  std::ranges::stable_sort(all, {}, &Neighbour::distance_squared);
  all.resize(std::min(all.size(), kNeighbours));
  return all;
}

// value(query) of the weighted least-squares plane through the neighbours; of all such planes the flattest.
double FitAt(const std::vector<Neighbour>& neighbours, std::span<const double> query) {
  const auto rows = static_cast<Eigen::Index>(neighbours.size());
  const auto columns = static_cast<Eigen::Index>(query.size());
  Eigen::VectorXd weights(rows);
  Eigen::VectorXd values(rows);
  Eigen::MatrixXd offsets(rows, columns);
  for (Eigen::Index row = 0; row < rows; ++row) {
    const Neighbour& neighbour = neighbours[static_cast<size_t>(row)];
    weights[row] = 1.0 / (neighbour.distance_squared + kDistanceFloor);
    values[row] = neighbour.point->log_value;
    for (Eigen::Index axis = 0; axis < columns; ++axis) {
      offsets(row, axis) = neighbour.point->coordinates[static_cast<size_t>(axis)] - query[static_cast<size_t>(axis)];
    }
  }
  weights /= weights.sum();
  const double mean = weights.dot(values);
  const Eigen::RowVectorXd centre = weights.transpose() * offsets;
  const Eigen::VectorXd scale = weights.cwiseSqrt();
  const Eigen::MatrixXd system = scale.asDiagonal() * (offsets.rowwise() - centre);
  const Eigen::VectorXd right = scale.cwiseProduct((values.array() - mean).matrix());
  auto decomposition = system.completeOrthogonalDecomposition();
  decomposition.setThreshold(1e-6);  // points closer to a line than this are on it
  const Eigen::VectorXd gradient = decomposition.solve(right);
  return mean - centre.dot(gradient);  // the query is the origin of the offsets
}

// Latency and bandwidth through two points: time = time_of_first + (bytes - bytes_of_first) * slope, with a slope that is never negative.
double SlopeBetween(const TransferPoint& first, const TransferPoint& second) {
  return std::max(0.0, (second.seconds - first.seconds) / (second.bytes - first.bytes));
}

}  // namespace

std::optional<double> InterpolateScattered(std::span<const ScatteredPoint> points, std::span<const double> query) {
  if (points.empty() || !InReach(points, query)) return std::nullopt;
  const std::vector<Neighbour> neighbours = Nearest(points, query);
  const auto [low, high] = std::minmax_element(
      neighbours.begin(), neighbours.end(), [](const Neighbour& a, const Neighbour& b) { return a.point->log_value < b.point->log_value; });
  return std::clamp(FitAt(neighbours, query), low->point->log_value, high->point->log_value);
}

std::optional<TransferTime> InterpolateTransfer(std::span<const TransferPoint> points, double bytes) {
  const auto above = std::ranges::lower_bound(points, bytes, {}, &TransferPoint::bytes);
  if (above != points.end() && above->bytes == bytes) return TransferTime{above->seconds, true};
  if (points.size() < 2) return std::nullopt;
  if (above == points.begin()) {
    // Never below the share of the bytes: the smallest measured transfer has no less bandwidth than a smaller one.
    const double line = above->seconds - SlopeBetween(points[0], points[1]) * (above->bytes - bytes);
    return TransferTime{std::max(line, above->seconds * bytes / above->bytes), false};
  }
  const TransferPoint& before = *(above - 1);
  if (above == points.end()) {
    // Two noisy points may show no bandwidth at all; then that of the last point alone.
    const double slope = SlopeBetween(points[points.size() - 2], before);
    return TransferTime{before.seconds + (slope > 0 ? slope : before.seconds / before.bytes) * (bytes - before.bytes), false};
  }
  const double share = std::log(bytes / before.bytes) / std::log(above->bytes / before.bytes);
  return TransferTime{before.seconds * std::pow(above->seconds / before.seconds, share), true};
}

}  // namespace helm::cost
