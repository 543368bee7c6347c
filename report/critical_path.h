// The critical path as a timeline shows it: from the end of the step back to its start, at each moment the work that the end hung on.
//
// A timeline holds no edges, so the predecessor of an event is taken to be what ended last before it began on the same rank (an op is not
// held up by a launch that comes after its own); a wait is held up by what ended last inside it. A message begins when both ends have
// begun, a collective when all members have (ir/timeline_ranks.h says who meets whom): the path goes on at the rank that began last, of
// several that began together at the one whose predecessor ended last, on its own rank where they are equal. So it passes from stage to
// stage, and from those who waited in a collective to the one they waited for. The simulator's own critical path, which knows the edges,
// may differ where two predecessors end at the same moment.
#pragma once

#include "ir/timeline.h"
#include "report/comparison.h"

namespace helm::report {

// From the rank whose last event ends last (the lowest such rank). REQUIRES: at least one event; events name existing ops and streams.
CriticalPath TraceCriticalPath(const ir::Timeline& timeline);

}  // namespace helm::report
