// WholeSequence: what of a program sees all positions of its sequences at once, when tiles are made along them: attention, and the work
// between it and the products around it (rotary positions, norms of heads, reshapes, and backward likewise). Internal to
// schedule/tiling.h.
//
// A query needs the keys of all positions before it, so attention of a tile alone is not what attention of the whole does there. Its
// inputs are put together before, each tile takes its rows of what comes out of the products' side after it, and everything else, which
// works token by token, is tiled.
#pragma once

#include <set>
#include <vector>

#include "ir/program.h"

namespace helm::schedule {

struct WholeSequence {
  std::vector<bool> ops;          // by op: is done on all positions at once
  std::set<ir::TensorId> joined;  // what tiles make and these ops read
};

// Whether the micro-batch is one sequence, so that the rows of its tensors are positions. By its attention, and without any by its inputs.
bool IsOneSequence(const ir::Program& program);

WholeSequence WholeSequenceOf(const ir::Program& program);

}  // namespace helm::schedule
