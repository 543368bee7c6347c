// Forward only: of a training step the part that a prefill computes, the layers of each micro-batch up to the hidden states behind the last
// one, which become outputs. Loss, head, backward and optimizer go, and with them the gradients and the optimizer's state, so that memory
// is that of parameters and of activations while they are needed. No keys and values are kept for tokens to come.
//
// The program is for the simulator and for other passes: its parameters' layout for the executor goes, too.
#pragma once

#include "core/status.h"
#include "ir/program.h"

namespace helm::schedule {

// A program without forward actions of layers is kInvalid. REQUIRES: Verify(program) is ok. The result is verified by the caller.
Result<ir::Program> ForwardOnly(const ir::Program& program);

}  // namespace helm::schedule
