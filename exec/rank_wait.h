// RankWait: whom a rank waits for when it does not get on, told from where all ranks are in their programs.
//
// Not whether a rank hangs: how long it made no progress says that (exec/failure.h). Op numbers of two stages of a pipeline cannot be
// compared, so "the one that is behind" is not enough: the stage that waits for its first input is at a lower number than the one that
// should send it. A rank at a wait waits for the ranks that have not yet come past their end of what the wait ends; one between two steps,
// or before the first, for the ranks that are further behind; one at any other op does work of its own.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "exec/failure.h"
#include "ir/program.h"

namespace helm::exec {

struct RunningRank {
  const RankObservation* seen = nullptr;
  const ir::Program* program = nullptr;  // whose ops `seen->op` counts
};

// Index into `ranks` of one that ranks[waiter] waits for, the first of several. None: it waits for nobody.
std::optional<size_t> WaitsFor(std::span<const RunningRank> ranks, size_t waiter);

}  // namespace helm::exec
