// What helm-compare takes for a timeline: HELM's own file, or another profiler's trace, told apart by the content.
#pragma once

#include <string>

#include "core/status.h"
#include "ir/timeline.h"

namespace helm::tools {

// Says on stderr what of another profiler's trace was left out.
Result<ir::Timeline> ReadTimelineOrTrace(const std::string& path);

}  // namespace helm::tools
