// Tiling: splits the batch of every micro-batch, or its one sequence, into tiles, so that what one tile sends can move while another
// computes.
//
//     %y = mm(%x, %w)                     ->   %y = mm(%x.0, %w)   %y.tile1 = mm(%x.1, %w)
//     %g = mm.out(%dy.t, %x, %gradient)   ->   mm.out of tile 0, then addmm_ of tile 1: a sum over the batch becomes a sum of partial ones
//
// It begins at the program's inputs (dimension 0 is the batch, of one sequence dimension 1 its positions) and at messages from other
// stages, and follows the rows through every op. Where rows are positions, attention is tiled by
// its queries (schedule/query_tiles.h).
// The batch must be the outermost dimension in memory, as the lowering writes all activations. Ops that do not see the batch stay one. A
// tile's ops follow those of the tile before, op by op (Op::tile); to put them in a better order is for other passes.
//
// Under sequence parallelism a rank holds an equal run of each tile's rows, not of the whole micro-batch's: all that is row by row comes
// out the same; of tables with a number for each of the rank's rows those of positions are known, others are refused. What has no rule is
// refused too, with the op and the reason: nothing is ever computed on part of the batch that needs all of it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/status.h"
#include "ir/program.h"

namespace helm::schedule {

inline constexpr int64_t kTilesUsual = 2;  // Helix's default (techniques.md 1.1)

// What becomes of the ops when some are not tiled.
struct TiledProgram {
  ir::Program program;
  std::vector<ir::OpId> origin;  // by op: which of the program it is, or part of it; none for what puts rows together or takes them apart
  std::vector<bool> can_be_joined;  // by op of the program: whether it could be done on all rows at once, as far as its operands allow
};
// As below, but an op of `joined` (by op; empty: none) is done on all rows at once where that is possible: what the tiles have apart is put
// together before it, and each tile reads its rows of the result. Only compute ops are.
Result<TiledProgram> TileWithJoined(const ir::Program& program, int64_t tiles, const std::vector<bool>& joined);

// Refusals are kInvalid. REQUIRES: Verify(program) is ok, tiles >= 1. The result is verified by the caller.
Result<ir::Program> Tile(const ir::Program& program, int64_t tiles);

}  // namespace helm::schedule
