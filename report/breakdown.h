// Breakdown of each rank's step into busy, exposed and idle time, by interval arithmetic (report/intervals.h).
//
// On a CPU the host thread is the compute stream: a wait there is an event of kind "wait", and so are views and launches; none of them
// is computation. A compute stream is "busy" with any event but a wait; it "computes" with events of kind "compute".
#pragma once

#include <vector>

#include "ir/timeline.h"
#include "report/comparison.h"

namespace helm::report {

// One entry per rank that has an event or a summary, by rank. REQUIRES: events name existing ops and streams.
std::vector<RankUse> UseByRank(const ir::Timeline& timeline);

}  // namespace helm::report
