// Pace: whether the machine computed as fast as when the costs behind the prediction were measured. What is left of a step time's error is
// then not the model's fault: something else ran on the machine, now or while helm-profile did.
#pragma once

#include <cstdint>
#include <optional>

#include "report/comparison.h"

namespace helm::report {

struct Pace {
  // Measured / predicted duration of compute ops that rest on a measured row: the median, each op weighted with its predicted duration. A
  // few ops whose rows are wrong do not move it, a machine that is slower as a whole does.
  double slowdown = 1;
  int64_t ops = 0;  // that it was taken over
  bool disturbed() const;
};

// Of ops off by as much as this, either way, half of the computing time is beyond what an idle machine shows from run to run
// (docs/validation.md: medians of the same op repeat within a few percent).
inline constexpr double kDisturbedSlowdown = 1.25;

// None when no compute op's prediction rests on a measured row.
std::optional<Pace> PaceOf(const Comparison& comparison);

}  // namespace helm::report
