// TileWriter: the program that tiling writes: what of each tensor every tile has, the views, copies and sums that take tiles apart and put
// them together, and ops. Which op becomes what is decided elsewhere (schedule/tiling_decisions.h). Internal to schedule/tiling.h.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/status.h"
#include "ir/program.h"
#include "schedule/tiling_decisions.h"

namespace helm::schedule {

class TileWriter {
 public:
  // REQUIRES: `program` and `decisions` outlive this.
  TileWriter(const ir::Program& program, int64_t tiles, TileDecisions& decisions);

  size_t tiles() const { return tiles_; }
  ir::Program& out() { return out_; }
  const ir::Program& out() const { return out_; }
  std::vector<ir::OpId>& origins() { return origins_; }

  // An op that is part of `origin` of the program that is tiled, or of none.
  ir::OpId Push(ir::Op op, ir::OpId origin = {});
  // An op where `id` is, with nothing else of it.
  ir::Op PlaceOf(ir::OpId id, size_t tile) const;
  // An op that is there once belongs to the last tile of the same action that it needs.
  int32_t TileOf(const ir::Op& op) const;
  ir::TensorId NewTensor(ir::Tensor tensor);
  // On a storage of its own.
  ir::TensorId FreshLike(ir::Tensor like, const std::string& name);

  // The tile's part of a tensor: its rows, or one of its own.
  ir::Tensor PartTensor(ir::TensorId of, size_t tile);
  // The storage of the tile's part.
  ir::StorageId StorageOf(ir::StorageId of, size_t tile);
  // The result of a tile; of tile 0 it has the place of the whole one in the list. REQUIRES: tiles in ascending order.
  ir::TensorId ResultOf(ir::TensorId of, size_t tile);
  // What the tiles have of a tensor from now on.
  void SetParts(ir::TensorId of, std::vector<ir::TensorId> parts);

  // What a tile of op `id` reads of a tensor; all of it.
  Result<ir::TensorId> Read(ir::OpId id, ir::TensorId of, size_t tile);
  Result<ir::TensorId> Whole(ir::OpId id, ir::TensorId of) const;
  bool HasWhole(ir::TensorId of) const { return whole_[of.index()].valid(); }
  bool HasParts(ir::TensorId of) const { return !tensors_[of.index()].empty(); }
  // All rows, put together where only the tiles have them.
  Result<ir::TensorId> AllRows(ir::OpId id, ir::TensorId of);
  // The rows of all tiles in a tensor of their own.
  Result<ir::TensorId> JoinRows(ir::OpId id, ir::TensorId of);
  // Adds up the partial sums of the tiles, in the first one's place.
  Status JoinSums(ir::OpId id, ir::TensorId of);
  // Views of the tiles' rows of a tensor that is there as a whole.
  Status Slice(ir::OpId id, ir::TensorId of);

 private:
  int64_t Tiles() const { return static_cast<int64_t>(tiles_); }
  void CutRows(ir::TensorId of, size_t tile, ir::Tensor& tensor) const;

  const ir::Program& in_;
  ir::Program out_;
  const size_t tiles_;
  TileDecisions& decisions_;
  std::vector<std::vector<ir::StorageId>> storages_;  // by storage of in_: of each tile, where it has one of its own
  std::vector<std::vector<ir::TensorId>> tensors_;    // by tensor of in_: of each tile
  std::vector<ir::TensorId> whole_;                   // by tensor of in_: all of it; none where there are only tiles
  std::set<ir::TensorId> sliced_tensors_;             // that are being sliced
  std::map<ir::TensorId, ir::TensorId> together_;     // rows of the tiles that have been put together
  std::vector<ir::OpId> origins_;                     // by op of out_
};

}  // namespace helm::schedule
