// Agreement: what the ranks that measure together tell each other between samples.
#pragma once

#include "core/status.h"
#include "runtime/communicator.h"

namespace helm::profiler {

// Votes after a batch; the largest wins.
inline constexpr double kDone = 0;
inline constexpr double kGoOn = 1;
inline constexpr double kStop = 2;  // rank 0 was interrupted

// The first rank's error that is one, on all ranks. Collective call.
Status AgreeOnStatus(runtime::World& world, const Status& mine);

}  // namespace helm::profiler
