#include "profiler/stopping_rule.h"

#include <algorithm>
#include <cmath>

namespace helm::profiler {

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
  const Duration median = cost::AtFraction(sorted, 0.5);
  if (median.picoseconds() <= 0) return 1.0;
  const Duration width = sorted[static_cast<size_t>(upper)] - sorted[static_cast<size_t>(lower)];
  return 0.5 * static_cast<double>(width.picoseconds()) / static_cast<double>(median.picoseconds());
}

bool StoppingRule::Finished(double share) const {
  const auto count = static_cast<double>(samples_.size());
  if (count < share * static_cast<double>(options_.samples_minimum)) return false;
  return count >= share * static_cast<double>(options_.samples_maximum) || spent_.seconds() >= share * options_.time_maximum.seconds() ||
         RelativeHalfWidth() <= options_.relative_half_width;
}

}  // namespace helm::profiler
