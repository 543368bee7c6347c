// Attribution: which work made one step longer than the other, so that the parts add up to the difference.
//
// The rule. A critical path (report/critical_path.h) covers its step from the start to the end of the last event without holes or overlaps,
// so the time that a path spends on each thing adds up to the path's length; what the makespan has beyond the path (a measured step ends
// with a barrier; it may be negative) is a part of its own. Hence for each category and for each op
//     share = time on the predicted path - time on the measured path
// and the shares add up to predicted makespan - measured makespan exactly, in picoseconds. An op's two times are held together by op id, or
// as report/match.h pairs them; an op that is on one path only counts in full. A share says where the time went on the path, not what the
// step would take if this op alone were predicted right: then another path might be the longest.
//
// Categories: "compute" and "optimizer" (kind compute on a compute stream), "collective" and "message" (in flight, on the path), "wait"
// (what a wait took beyond the communication that ended inside it), "host" (launches, views), "gap" (nothing ran) and "beyond the path".
#pragma once

#include <string_view>
#include <vector>

#include "ir/timeline.h"
#include "report/comparison.h"
#include "report/match.h"

namespace helm::report {

const std::vector<std::string_view>& CategoryNames();

// REQUIRES: the paths were traced in these timelines, and `match` made from them.
Attribution Attribute(const Sides<const ir::Timeline*>& timelines, const Sides<const CriticalPath*>& paths, const Match& match);

}  // namespace helm::report
