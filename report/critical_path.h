// The critical path as a timeline shows it: from the end of the step back to its start, at each moment the work that the end hung on.
//
// A timeline holds no edges, so the predecessor of an event is taken to be what ended last before it began on the same rank (an op is not
// held up by a launch that comes after its own); a wait is held up by the collective that ended inside it. The simulator's own critical
// path, which knows the edges, may differ where two predecessors end at the same moment.
#pragma once

#include "ir/timeline.h"
#include "report/comparison.h"

namespace helm::report {

// Of the rank whose last event ends last (the lowest such rank). REQUIRES: at least one event; events name existing ops and streams.
CriticalPath TraceCriticalPath(const ir::Timeline& timeline);

}  // namespace helm::report
