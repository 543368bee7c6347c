#include "cost/quartiles.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/check.h"

namespace helm::cost {
namespace {

Duration MeanWithoutSlowest(const std::vector<Duration>& sorted) {
  const auto slowest = static_cast<int64_t>((sorted.size() + 99) / 100);
  const int64_t count = std::max<int64_t>(1, std::ssize(sorted) - slowest);
  Duration sum;
  for (int64_t i = 0; i < count; ++i) sum += sorted[static_cast<size_t>(i)];
  return Duration::Picoseconds(sum.picoseconds() / count);
}

}  // namespace

Duration AtFraction(const std::vector<Duration>& sorted, double fraction) {
  HELM_CHECK(!sorted.empty(), "a fraction of no samples");
  const double position = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = position - static_cast<double>(below);
  const double width = static_cast<double>((sorted[above] - sorted[below]).picoseconds());
  return sorted[below] + Duration::Picoseconds(std::llround(weight * width));
}

Quartiles QuartilesOf(std::vector<Duration> samples) {
  HELM_CHECK(!samples.empty(), "quartiles of no samples");
  std::sort(samples.begin(), samples.end());
  const Duration lower = AtFraction(samples, 0.25);
  const Duration upper = AtFraction(samples, 0.75);
  return {lower, AtFraction(samples, 0.5), upper, MeanWithoutSlowest(samples)};
}

}  // namespace helm::cost
