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
Status WriteState(const ir::Program& program, const RankState& state, runtime::Interpreter& interpreter);

// The parameters in fp32 (master copies where the parameters are narrower), and the gradients as they lie in their storages.
Result<RankState> ReadParameters(const ir::Program& program, const runtime::Interpreter& interpreter);
Result<RankState> ReadGradients(const ir::Program& program, const runtime::Interpreter& interpreter);

// The nearest bfloat16, ties to even, as its 16 bits; NaN stays NaN.
uint16_t BFloat16Bits(float value);

}  // namespace helm::exec
