// MaterialiseExcerpt: plan -> the excerpt of its programs from which sim::ComposeStep makes its time and memory.
//
// The same lowering, schedules and passes as Materialise, of three micro-batches instead of many (the first, which overwrites gradients; an
// inner one; the last, which starts their reductions), of one layer instead of many (model/layer_excerpt.h), and of one stage instead of
// those that hold as many layers and neither embedding nor head. Only for the simulator: the plan's program hash is not checked, since no
// program with a hash is made.
#pragma once

#include "core/cancellation.h"
#include "core/status.h"
#include "ir/plan.h"
#include "model/model_spec.h"
#include "sim/step_excerpt.h"

namespace helm::schedule {

// `model` is the plan's model document read; its cluster counts with `device` alone. `whole_last`: with every layer of the last
// micro-batch, where reductions of gradients slow down what runs beside them (sim/contention.h). `cancellation` is asked as by Materialise.
Result<sim::StepExcerpt> MaterialiseExcerpt(const ir::Plan& plan, const model::ModelSpec& model, ir::DeviceKind device,
                                            bool whole_last = false, const Cancellation& cancellation = {});

}  // namespace helm::schedule
