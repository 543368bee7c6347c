// Breakdown of each rank's step into busy, exposed and idle time, by interval arithmetic (report/intervals.h).
//
// A compute stream computes with events of kind "compute"; it is occupied by any event but a wait, and idle otherwise. On a CPU the host
// thread is the compute stream: its launches and views occupy it as well, without being computation.
#pragma once

#include <vector>

#include "ir/timeline.h"
#include "report/comparison.h"

namespace helm::report {

// One entry per rank that has an event or a summary, by rank. REQUIRES: events name existing ops and streams.
std::vector<RankUse> UseByRank(const ir::Timeline& timeline);

}  // namespace helm::report
