// The parameters that training begins with: functions of the seed and each parameter's name and element, not of the split.
//
// Element i (row-major, in the program's orientation) of the parameter named n is element i of the random stream (seed, n); core/random.h.
// Padding rows of the vocabulary are zero, as are gradients and the optimizer's state.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/status.h"
#include "exec/parameter_state.h"
#include "ir/program.h"
#include "ir/step_programs.h"
#include "runtime/interpreter.h"

namespace helm::exec {

// The fp32 values of all segments of the rank.
RankState InitialState(const ir::Program& program, int64_t rank, uint64_t seed);

// For verification, the low-rank adapters beside frozen parameters with B as wide as A is (1 / sqrt(3 x inputs)) where it begins at zero:
// A's gradient is a product with B, so in the first step it would be zero whatever is wrong with it.
ir::StepPrograms WithAdaptersNotZero(ir::StepPrograms step);

// Fills parameters (rounded to their dtype) and master copies, segment by segment, with `threads` threads (the values do not depend on how
// many). `beat` is called now and then, for whoever watches whether the rank gets on; may be empty. REQUIRES: the interpreter is new, so
// that the rest is zero.
Status WriteInitialState(const ir::Program& program, int64_t rank, uint64_t seed, int64_t threads, const std::function<void()>& beat,
                         runtime::Interpreter& interpreter);

// Rounds the values to the dtype that the program has the storage in. In parts, so that rounding on the way to a GPU takes little memory. A
// storage may be longer than its segment (alignment).
Status WriteInParts(const ir::Program& program, ir::StorageId storage, std::span<const float> values, runtime::Interpreter& interpreter);

// All elements of a storage of floats, in fp32 whatever type the program has it in.
Result<std::vector<float>> ReadWidened(const ir::Program& program, ir::StorageId storage, const runtime::Interpreter& interpreter);

// The parameters in fp32 (master copies where there are some), and the gradients as the gradient pass leaves them (exec/gradient_pass.h).
// Of sharded segments only the rank's own range is read, the rest is zero. Of frozen segments there are no gradients: none of its elements.
Result<RankState> ReadParameters(const ir::Program& program, int64_t rank, const runtime::Interpreter& interpreter);
Result<RankState> ReadGradients(const ir::Program& program, int64_t rank, const runtime::Interpreter& interpreter);

}  // namespace helm::exec
