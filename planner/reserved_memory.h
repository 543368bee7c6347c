// ReservedMemory: what PyTorch's caching allocator holds on a GPU through a plan's steps, by rank class (sim/allocator_replay.h).
//
// Replayed are two steps of few micro-batches: once a pipeline is full, further ones take and give back what those before did. gpipe, which
// keeps the activations of all micro-batches, is replayed whole, as is a schedule of the user's own. What each class allocates is told by
// the first, an inner and the last micro-batch (sim/allocation_trace.h), to the call, or where these cannot tell by all of them.
#pragma once

#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "ir/plan.h"
#include "model/model_spec.h"
#include "sim/price_book.h"

namespace helm::planner {

// Whether every micro-batch is replayed.
bool ReplaysWholeStep(const ir::Plan& plan);

// `model`: the plan's, read. `library_workspaces`: by class, allocated before the first step and kept. REQUIRES: a plan for GPUs; `prices`
// are those of its cluster.
Result<std::vector<Bytes>> ReservedMemory(const ir::Plan& plan, const model::ModelSpec& model, sim::PriceBook& prices,
                                          const std::vector<Bytes>& library_workspaces);

}  // namespace helm::planner
