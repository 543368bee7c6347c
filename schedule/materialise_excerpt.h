// MaterialiseExcerpt: plan -> the excerpt of its programs from which sim::ComposeStep makes its time and memory.
//
// The same lowering, schedules and passes as Materialise, of three micro-batches instead of many (the first, which overwrites gradients; an
// inner one; the last, which starts their reductions; where gradients are sharded two before the inner one; where a stage has input and
// weight gradients apart in some micro-batches and not in others an inner one of each), of one layer instead of many
// (model/layer_excerpt.h), and of one stage instead of those that hold as many layers and neither embedding nor head. Only for the
// simulator: the plan's program hash is not checked, since no program with a hash is made.
#pragma once

#include <cstdint>

#include "core/cancellation.h"
#include "core/status.h"
#include "ir/plan.h"
#include "model/model_spec.h"
#include "sim/step_excerpt.h"

namespace helm::schedule {

enum class LayersLeftOut : uint8_t {
  kMost,
  kMostButInLast,  // none in the last micro-batch: where reductions of gradients slow down what runs beside them (sim/contention.h)
  kNone,           // for what is not a sum over layers: sim/allocation_trace.h
};

// `model` is the plan's model document read; its cluster counts with `device` alone. `cancellation` is asked as by Materialise.
Result<sim::StepExcerpt> MaterialiseExcerpt(const ir::Plan& plan, const model::ModelSpec& model, ir::DeviceKind device,
                                            LayersLeftOut left_out = LayersLeftOut::kMost, const Cancellation& cancellation = {});

}  // namespace helm::schedule
