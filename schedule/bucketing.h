// Bucketing: tiles, but with the ops on all rows at once that take less so, where that makes the layer faster (techniques.md 1.6).
//
// An op on half of the rows takes more than half of the time: small kernels, half-filled waves, weights and sums that are read again. On
// all rows at once it is cheaper, but whoever comes first waits for the other, and rows that the tiles have apart must be copied together.
// The lattice (schedule/lattice.h) weighs it: beside the steps of each tile it may take a run of ops of both as one, and what it keeps is
// the fastest of all interleavings and merges, peak memory a component. Three layers in the middle are searched, and what is found for the
// middle one goes for all. Two tiles only. The program has no new order: that is for round_robin and lattice, behind this.
#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "ir/program.h"
#include "schedule/lattice.h"
#include "sim/price_book.h"

namespace helm::schedule {

struct Bucketed {
  ir::Program program;               // tiled
  std::vector<std::string> reasons;  // what is done on all rows at once, and what it takes then and in tiles
};

// Refusals are those of Tile, and of ops without a price. REQUIRES: Verify(program) is ok. The result is verified by the caller.
Result<Bucketed> Bucket(const ir::Program& program, int64_t tiles, sim::PriceBook& prices, const LatticeOptions& options = {});

}  // namespace helm::schedule
