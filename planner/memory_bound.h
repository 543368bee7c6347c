// MemoryLowerBound: bytes that a rank needs whatever the order of its operators: parameters, gradients, optimizer state, and the
// activations that the backward pass of one micro-batch cannot do without. Never more than the simulated peak (property test), so that a
// strategy whose bound exceeds the capacity can be dropped unsimulated.
#pragma once

#include "core/units.h"
#include "ir/strategy.h"
#include "model/model_spec.h"

namespace helm::planner {

Bytes MemoryLowerBound(const model::ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy);

}  // namespace helm::planner
