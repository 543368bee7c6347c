// The sums of a comparison: how long ops that have something in common take in each step. All ops count, paired or not: two plans with
// other micro-batches or another split do the same work in other ops, and only their sums can be held against each other.
#pragma once

#include "report/comparison.h"

namespace helm::report {

// Fills by_target, by_label, by_phase, by_kind and work. REQUIRES: `rows`, `predicted_only` and `measured_only` are there.
void SumUp(Comparison& comparison);

}  // namespace helm::report
