// The standard sweep: a list of ops and collectives that covers the sizes of small and middling transformers, for a table that is made once
// per machine and interpolated in. A configuration's own list (planner's cost queries) is always the better one: it holds the exact shapes.
#pragma once

#include "core/status.h"
#include "profiler/profile.h"

namespace helm::profiler {

// `ranks`: of the machine; collectives are measured over all of them when there is more than one.
Result<WorkList> StandardSweep(int64_t ranks);

}  // namespace helm::profiler
