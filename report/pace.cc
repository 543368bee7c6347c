#include "report/pace.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace helm::report {

bool Pace::disturbed() const { return slowdown >= kDisturbedSlowdown || slowdown <= 1 / kDisturbedSlowdown; }

std::optional<Pace> PaceOf(const Comparison& comparison) {
  std::vector<std::pair<double, double>> ratios;  // and their weights
  double total = 0;
  for (const OpRow& row : comparison.rows) {
    const double predicted = row.duration.predicted.seconds();
    if (row.what.kind != "compute" || row.what.source != "measured" || predicted <= 0) continue;
    ratios.emplace_back(row.duration.measured.seconds() / predicted, predicted);
    total += predicted;
  }
  if (ratios.empty()) return std::nullopt;
  std::sort(ratios.begin(), ratios.end());
  double below = 0;
  for (const auto& [ratio, weight] : ratios) {
    below += weight;
    if (2 * below >= total) return Pace{ratio, static_cast<int64_t>(ratios.size())};
  }
  return Pace{ratios.back().first, static_cast<int64_t>(ratios.size())};  // rounding of the sums
}

}  // namespace helm::report
