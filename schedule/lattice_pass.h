// Lattice: the pass that interleaves the tiles of each action as the lattice finds best (schedule/lattice.h), priced op by op.
//
// More than two streams are folded: the first two, their result with the third, and so on. Layers that are alike are not searched one by
// one: a few are, and the stretch in which both streams advance by one layer is repeated for the rest (the steady state of techniques.md
// 1.5). Where segmented round robin, or the program's own order, is faster by the lattice's model of time, that order is taken.
// Contention, launches and other ranks are not in this model: whether the program is faster is for sim/ to say.
#pragma once

#include <map>
#include <vector>

#include "core/status.h"
#include "ir/program.h"
#include "schedule/lattice.h"
#include "schedule/streams.h"
#include "sim/price_book.h"
#include "sim/task_costs.h"

namespace helm::schedule {

// What the pass takes of an op.
struct OpCosts {
  int64_t duration = 0;   // picoseconds; 0 for views, waits and what a region's first op stands for
  int64_t allocates = 0;  // bytes
  int64_t frees = 0;
};
std::vector<OpCosts> CostsOf(const ir::Program& program, const sim::TaskCosts& costs);

// What the item is in the lattice; `start_steps`: the steps of the collectives that its stream has started, by the ops that start them.
LatticeStep StepOf(const ir::Program& program, const Item& item, const std::vector<OpCosts>& costs,
                   const std::map<ir::OpId, size_t>& start_steps);

// The stream of each next item.
std::vector<size_t> LatticeChoice(const ir::Program& program, const Span& span, const std::vector<OpCosts>& costs,
                                  const LatticeOptions& options = {});

// Fails where an op has no price. The collectives are priced as the ranks of the first pipeline stage find them.
Result<ir::Program> Lattice(const ir::Program& program, sim::PriceBook& prices, const LatticeOptions& options = {});

}  // namespace helm::schedule
