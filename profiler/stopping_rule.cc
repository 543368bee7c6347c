#include "profiler/stopping_rule.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace helm::profiler {
namespace {

Duration AtFraction(const std::vector<Duration>& sorted, double fraction) {
  const double position = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = position - static_cast<double>(below);
  const double width = static_cast<double>((sorted[above] - sorted[below]).picoseconds());
  return sorted[below] + Duration::Picoseconds(std::llround(weight * width));
}

Duration MeanWithoutSlowest(const std::vector<Duration>& sorted) {
  const auto slowest = static_cast<int64_t>((sorted.size() + 99) / 100);
  const int64_t count = std::max<int64_t>(1, std::ssize(sorted) - slowest);
  Duration sum;
  for (int64_t i = 0; i < count; ++i) sum += sorted[static_cast<size_t>(i)];
  return Duration::Picoseconds(sum.picoseconds() / count);
}

}  // namespace

Quartiles QuartilesOf(std::vector<Duration> samples) {
  HELM_CHECK(!samples.empty(), "quartiles of no samples");
  std::sort(samples.begin(), samples.end());
  const Duration lower = AtFraction(samples, 0.25);
  const Duration upper = AtFraction(samples, 0.75);
  return {lower, AtFraction(samples, 0.5), upper, MeanWithoutSlowest(samples)};
}

void StoppingRule::AddSample(Duration sample, Duration spent) {
  samples_.push_back(sample);
  spent_ += spent;
}

double StoppingRule::RelativeHalfWidth() const {
  const auto count = static_cast<double>(samples_.size());
  const double half_ranks = 0.98 * std::sqrt(count);  // 1.96 standard deviations of a binomial with p = 1/2
  const auto lower = static_cast<int64_t>(std::floor(count / 2 - half_ranks));
  const auto upper = static_cast<int64_t>(std::ceil(count / 2 + half_ranks));
  if (lower < 0 || upper >= static_cast<int64_t>(samples_.size())) return 1.0;
  std::vector<Duration> sorted = samples_;
  std::sort(sorted.begin(), sorted.end());
  const Duration median = AtFraction(sorted, 0.5);
  if (median.picoseconds() <= 0) return 1.0;
  const Duration width = sorted[static_cast<size_t>(upper)] - sorted[static_cast<size_t>(lower)];
  return 0.5 * static_cast<double>(width.picoseconds()) / static_cast<double>(median.picoseconds());
}

bool StoppingRule::Finished() const {
  const auto count = static_cast<int64_t>(samples_.size());
  if (count < options_.samples_minimum) return false;
  return count >= options_.samples_maximum || spent_ >= options_.time_maximum || RelativeHalfWidth() <= options_.relative_half_width;
}

}  // namespace helm::profiler
