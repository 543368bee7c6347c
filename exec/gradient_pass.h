// The part of a training step before the optimizer: after it the gradient storages hold the complete, reduced gradients, before clipping.
#pragma once

#include "core/status.h"
#include "ir/program.h"

namespace helm::exec {

// The program's ops up to the first computation of phase optimizer (the last reductions of gradients come before it), and the waits that
// end what was started before it.
Result<ir::Program> GradientPass(const ir::Program& program);

}  // namespace helm::exec
