// The parameters that training begins with: functions of the seed and each parameter's name and element, not of the split.
//
// Element i (row-major, in the program's orientation) of the parameter named n is element i of the random stream (seed, n); core/random.h.
// Padding rows of the vocabulary are zero, as are gradients and the optimizer's state.
#pragma once

#include <cstdint>
#include <vector>

#include "core/status.h"
#include "exec/parameter_state.h"
#include "ir/program.h"
#include "runtime/interpreter.h"

namespace helm::exec {

// The fp32 values of all segments of the rank.
RankState InitialState(const ir::Program& program, int64_t rank, uint64_t seed);

// Fills every persistent storage: parameters (rounded to their dtype) and master copies with `state`, the rest with zeros.
Status WriteState(const ir::Program& program, int64_t rank, const RankState& state, runtime::Interpreter& interpreter);

// The parameters in fp32 (master copies where there are some), and the gradients as the gradient pass leaves them (exec/gradient_pass.h).
// Of sharded segments only the rank's own range is read, the rest is zero.
Result<RankState> ReadParameters(const ir::Program& program, int64_t rank, const runtime::Interpreter& interpreter);
Result<RankState> ReadGradients(const ir::Program& program, int64_t rank, const runtime::Interpreter& interpreter);

// The nearest bfloat16, ties to even, as its 16 bits; NaN stays NaN.
uint16_t BFloat16Bits(float value);

}  // namespace helm::exec
