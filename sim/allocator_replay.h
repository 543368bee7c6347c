// ReplayAllocator: what PyTorch's caching allocator holds through the steps of a program: allocated and reserved, with fragmentation.
//
// Launch order by the lifetimes of ir/lifetime.h, one stream (collectives take their tensors from the compute stream's pool and are waited
// for). Not what lies outside the allocator. The first step differs from later ones: an optimizer creates its state lazily, in the first
// update, when gradients are there already and activations have come and gone; so replay at least two.
#pragma once

#include <cstdint>
#include <vector>

#include "core/status.h"
#include "ir/program.h"
#include "sim/allocation_trace.h"
#include "sim/caching_allocator.h"
#include "sim/task_costs.h"

namespace helm::sim {

struct AllocatorReplayOptions {
  CachingAllocatorOptions allocator;
  int64_t steps = 2;
  // Optimizer state is allocated by the first op that uses it, as torch.optim does. Otherwise before the first step.
  bool lazy_optimizer_state = true;
  Bytes library_workspace;  // that a library allocates before the first step and keeps (cuBLAS)
};

// Usage after each step; peaks are since the start. Persistent storages are allocated first, in program order; outputs go at the end of
// their step. Fails when the device is full, naming step and op. REQUIRES: steps >= 1; of a program: Verify(program) is ok, device=cuda.
Result<std::vector<AllocatorUsage>> ReplayAllocator(const AllocationTrace& trace, const AllocatorReplayOptions& options);
Result<std::vector<AllocatorUsage>> ReplayAllocator(const ir::Program& program, const TaskCosts& costs,
                                                    const AllocatorReplayOptions& options);

}  // namespace helm::sim
