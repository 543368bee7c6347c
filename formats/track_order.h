// Track order: the events of a timeline as trace files hold them, one track (a rank's stream) after the other, each from first to last.
#pragma once

#include <cstddef>
#include <vector>

#include "core/status.h"
#include "ir/timeline.h"

namespace helm::formats {

// Indices into Timeline::events, by rank, stream, start and end. Fails (invalid) when there are none, or when two of one track overlap: no
// viewer can show that.
Result<std::vector<size_t>> TrackOrder(const ir::Timeline& timeline);

}  // namespace helm::formats
