// Query tiles: causal attention of one sequence whose positions are split into tiles (techniques.md 1.3). The queries of a tile see the
// keys and values of its own positions and of all tiles before it, so each tile has an attention of its own, over that prefix:
//
//     forward    tile k:  attention(q.k, cat(k.0 .. k.k), cat(v.0 .. v.k))
//     backward   tile k:  gradients of q.k, and a partial one of the keys and values of tiles 0 .. k; those of tile j are the sums of the
//                         partial ones of the tiles from j on
//
// With fewer queries than keys CUDA's flash kernel takes the last query to see the last key (FlashAttention-2 from version 2.1 on;
// torch.nn.attention.bias, CausalVariant.LOWER_RIGHT). The CPU's takes the first query to see the first key only, so there the prefix comes
// with a mask. The copies of prefixes are made again for backward: nothing is kept that is not kept without tiles. Internal to
// schedule/tiling.h.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "core/status.h"
#include "ir/program.h"
#include "schedule/tile_writer.h"

namespace helm::schedule {

class QueryTiles {
 public:
  // REQUIRES: all outlive this.
  QueryTiles(const ir::Program& program, TileWriter& writer) : in_(program), writer_(writer) {}

  // REQUIRES: HasQueryTiles(op), and its parts are decided: the gradients of key and value Part::kPrefix, all else Part::kRows.
  Status Write(ir::OpId id);

 private:
  int64_t Rows(ir::TensorId queries) const { return in_.tensor(queries).shape[2] / static_cast<int64_t>(writer_.tiles()); }
  Result<ir::TensorId> Prefix(ir::OpId id, ir::TensorId of, size_t tile);
  ir::TensorId View(ir::OpId id, size_t tile, const char* target, std::vector<ir::Argument> arguments, ir::Tensor result);
  ir::TensorId Compute(ir::OpId id, size_t tile, const char* target, std::vector<ir::Argument> arguments, ir::TensorId result);
  ir::TensorId ByPosition(ir::OpId id, size_t tile, ir::TensorId by_head);
  ir::TensorId MaskOf(ir::OpId id, ir::TensorId queries, size_t tile);
  Result<ir::Op> Kernel(ir::OpId id, size_t tile);
  Status Forward(ir::OpId id);
  Status Backward(ir::OpId id);
  ir::TensorId PartOfPrefix(ir::OpId id, ir::TensorId of, ir::TensorId prefix, size_t writes, size_t tile);
  ir::TensorId SumOf(ir::OpId id, ir::TensorId of, const std::vector<ir::TensorId>& prefixes, size_t tile);

  const ir::Program& in_;
  TileWriter& writer_;
  std::map<std::pair<int32_t, size_t>, ir::TensorId> masks_;  // by action and tile
};

}  // namespace helm::schedule
