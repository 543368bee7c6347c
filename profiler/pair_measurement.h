// MeasurePair: an op and a collective alone and at once, on this machine.
//
// Collective call. A sample is three runs, each begun by all ranks of the collective together: the op's calls, the collectives, and both
// started at once, the collectives on their own stream or thread as in a step (runtime/measure.h). The counts are such that both take about
// equally long, so that each runs beside the other nearly all the time. As with single ops the medians are over the samples of all ranks.
#pragma once

#include <optional>

#include "core/status.h"
#include "cost/pair.h"
#include "profiler/profile.h"
#include "runtime/communicator.h"

namespace helm::profiler {

// None when interrupted. Ranks beyond the collective's take part in the agreements only.
Result<std::optional<cost::PairMeasurement>> MeasurePair(const PairWork& pair, runtime::World& world, const ProfileOptions& options);

}  // namespace helm::profiler
