// The part of a training step before the optimizer: after it the gradient storages hold the complete, reduced gradients, before clipping;
// of segments whose optimizer state is sharded (ZeRO), the rank's shard of the reduced gradient is an output.
#pragma once

#include <string>

#include "core/status.h"
#include "ir/program.h"

namespace helm::exec {

// Its name: "gradient_shard.SEGMENT".
std::string ShardOutput(const ir::ParameterSegment& segment);

// The program's ops up to the first computation of phase optimizer (the last reductions of gradients come before it), and the waits that
// end what was started before it.
Result<ir::Program> GradientPass(const ir::Program& program);

}  // namespace helm::exec
