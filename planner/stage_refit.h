// RefitStages: other layers for the stages of a pipeline on several kinds of nodes, where a stage does not fit into the memory of its
// devices and another has room.
//
// The split whose slowest stage is the fastest asks nothing of memory, and the faster device need not be the one with more. What a stage
// needs grows nearly evenly with its layers: how fast, two simulated splits tell, and before there are two all that it needs is put down to
// its layers. So each stage has a most of layers; the split within these is again exact (planner/stage_split.h), is simulated, and tells
// more.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/run_config.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "core/units.h"
#include "planner/fewest_layers.h"
#include "planner/part_times.h"
#include "planner/search.h"

namespace helm::planner {

// What one stage was found to need with so many layers.
struct StageMemory {
  int64_t layers = 0;
  Bytes peak;
};

// How many layers fit at most, by one or two simulated splits, the last one last: fewer than the last had where that does not fit, as many
// at least where it does; none where that is not known. REQUIRES: one at least.
std::optional<int64_t> LayersMost(const std::vector<StageMemory>& simulated, Bytes capacity);

// The splits that were simulated in place of one that does not fit; the last fits, or none does. REQUIRES: SplitIsOpen; `unfit` was priced.
Result<std::vector<Candidate>> RefitStages(const config::RunConfig& config, const Candidate& unfit, PartBook& parts,
                                           const PriceStrategy& price, const Cancellation& cancellation);

}  // namespace helm::planner
