// StallError: why a simulation cannot go on although tasks are left: the chain of who waits for whom, which ends in a cycle, in a partner
// that nobody plays, or in a task that runs at rate 0.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "core/status.h"
#include "sim/event_graph.h"

namespace helm::sim {

struct StalledTimes {
  std::span<const int64_t> start;  // by task
  std::span<const int64_t> finish;
  int64_t now = 0;
  int64_t not_yet = -1;  // the value of what has not happened
};

// REQUIRES: some task has not finished. `name_of` may be empty.
Status StallError(const EventGraph& graph, const StalledTimes& times, const std::function<std::string(uint32_t)>& name_of);

}  // namespace helm::sim
