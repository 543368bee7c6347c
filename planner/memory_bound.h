// MemoryLowerBound: bytes that a rank needs whatever the order of its operators: parameters, gradients, optimizer state, and the
// activations that the backward pass of one micro-batch cannot do without. Never more than the simulated peak (property test), so that a
// strategy whose bound exceeds the capacity can be dropped unsimulated.
#pragma once

#include <cstdint>

#include "core/units.h"
#include "ir/software.h"
#include "ir/strategy.h"
#include "model/model_spec.h"

namespace helm::planner {

// With `stages` as the strategy gives them, or whichever of its layers each holds.
enum class StagesTaken : uint8_t { kAsGiven, kAny };
Bytes MemoryLowerBound(const model::ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                       const ir::Strategy& strategy, StagesTaken stages = StagesTaken::kAsGiven);

// Of these parameters, gradients and optimizer state alone.
Bytes StateLowerBound(const model::ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                      const ir::Strategy& strategy);

// The same of so many trained parameters on a rank: those that all data-parallel ranks have, and those of experts.
Bytes ResidentLowerBound(int64_t common, int64_t routed, const ir::Workload& workload, const ir::Software& software,
                         const ir::Strategy& strategy);

// Micro-batches whose activations the stage holds at once at least: all in gpipe, else those that follow each other up the stages behind
// it. REQUIRES: one chunk a stage, in a schedule that has a name.
int64_t MicroBatchesHeldBy(const ir::Workload& workload, const ir::Strategy& strategy, int64_t stage);

}  // namespace helm::planner
