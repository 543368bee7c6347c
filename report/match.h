// Match: which op of one timeline is which op of the other.
//
// Timelines of one program line up by op id. Timelines of two programs (two plans) have other ids: there an op is recognised by its target,
// label, phase, layer and micro-batch, and the n-th such op of one is the n-th of the other. Where one timeline is of no program (another
// profiler's trace: its hash is empty), the n-th op of an operator is the n-th of that operator. Only ops with an event count as present.
#pragma once

#include <vector>

#include "core/status.h"
#include "ir/timeline.h"
#include "report/comparison.h"

namespace helm::report {

struct Match {
  bool by_id = true;
  std::vector<Sides<ir::OpId>> pairs;  // in order of the predicted op id
  std::vector<ir::OpId> predicted_only;
  std::vector<ir::OpId> measured_only;
};

// Fails when timelines of one program disagree on what an op is.
Result<Match> MatchOps(const ir::Timeline& predicted, const ir::Timeline& measured);

}  // namespace helm::report
