// Breakdown of each rank's step into busy, exposed and idle time, by interval arithmetic (report/intervals.h).
//
// A compute stream computes with events of kind "compute"; it is occupied by any event but a wait, and idle otherwise. On a CPU the host
// thread is the compute stream: its launches and views occupy it as well, without being computation.
//
// Of a message only the time in which both ends have begun is communication; before, and behind a rank's last op while other stages run, a
// rank that computes nothing is in a bubble (as sim/schedule_times.cc has it).
#pragma once

#include <vector>

#include "ir/timeline.h"
#include "report/comparison.h"

namespace helm::report {

// One entry per rank that has an event or a summary, by rank. REQUIRES: events name existing ops and streams.
std::vector<RankUse> UseByRank(const ir::Timeline& timeline);

}  // namespace helm::report
