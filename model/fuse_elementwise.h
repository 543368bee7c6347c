// FuseElementwise: joins what a compiler over whole blocks joins (torch.compile's inductor, XLA): runs of pointwise operators, norms and
// reductions over rows become regions (ir/region.h), each priced as one kernel that reads and writes what enters and leaves it.
//
// It does not join with matrix products or attention (inductor and XLA call libraries for these), over layers, micro-batches or the borders
// of forward and backward, with sums over columns (gradients of biases: kernels of their own) or with the accumulation of weight
// gradients, which is outside of the compiled blocks. A reduction of rows that do not fit beside a multiprocessor (the vocabulary's) ends
// its run: what reads the row once more is another kernel. What is kept for backward stays what it was.
#pragma once

#include <cstdint>

#include "ir/program.h"

namespace helm::model {

// Whether the run of an operator may go on behind it.
enum class Joining : uint8_t { kNo, kEnds, kYes };
// REQUIRES: a compute op.
Joining JoiningOf(const ir::Program& program, const ir::Op& op);

void FuseElementwise(ir::Program& program);

}  // namespace helm::model
