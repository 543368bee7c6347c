// StoppingRule: when a measurement has been repeated often enough. Fed one sample at a time; knows nothing of what is measured.
//
// Finished when the median is known well enough, or the budget is spent. The uncertainty of a median is estimated from the order
// statistics around it: for n samples the 95 % confidence interval of the median runs from the sorted sample of rank n/2 - 0.98 sqrt(n) to
// that of rank n/2 + 0.98 sqrt(n) (binomial distribution, normal approximation; Conover, Practical Nonparametric Statistics, section 3.2),
// which assumes nothing about how the samples are distributed: timings have a long tail.
#pragma once

#include <cstdint>
#include <vector>

#include "core/units.h"
#include "cost/quartiles.h"

namespace helm::profiler {

using cost::Quartiles;
using cost::QuartilesOf;

struct StoppingRuleOptions {
  int64_t samples_minimum = 9;
  int64_t samples_maximum = 400;
  // Spent on this measurement, preparing each sample included: small ops cost more to prepare than to run, and matter little.
  Duration time_maximum = Duration::Milliseconds(150);
  double relative_half_width = 0.02;  // of the median's 95 % confidence interval
};

class StoppingRule {
 public:
  explicit StoppingRule(const StoppingRuleOptions& options) : options_(options) {}

  // `spent`: what it took to prepare and measure it.
  void AddSample(Duration sample, Duration spent);
  // `share`, in (0, 1]: of samples and time; a measurement that is spread over several visits has its first n/N of them after visit n of N.
  bool Finished(double share = 1.0) const;
  // Half the width of the confidence interval over the median; 1 while there are too few samples to say.
  double RelativeHalfWidth() const;
  const std::vector<Duration>& samples() const { return samples_; }

 private:
  StoppingRuleOptions options_;
  std::vector<Duration> samples_;
  Duration spent_;
};

}  // namespace helm::profiler
