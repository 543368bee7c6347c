// TileDecisions: op by op, in the program's order, what becomes of it when the batch, or its one sequence, is split into tiles, and what of
// each storage a tile has. Internal to schedule/tiling.h, which writes the new program; here nothing is written.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/status.h"
#include "ir/program.h"

namespace helm::schedule {

// What of a storage a tile has.
enum class Part : uint8_t {
  kWhole,   // one for all tiles
  kRows,    // each tile has one of its own, with its rows
  kPrefix,  // each tile has one of its own, with its rows behind those of the tiles before (schedule/query_tiles.h)
  kSplit,   // one for all, in which each tile has its rows: inputs and messages
  kOwn,     // each tile has one of the same size: a partial sum, or a number of the tile's own
  kAlike,   // one for all, with the rows of one tile: they are the same in each (numbers of rows, modulo the length of a sequence)
};

// What becomes of an op: it stays one, each tile has one, each tile has one that adds to the sum of those before, or attention that each
// tile's queries have with the keys up to them.
enum class Fate : uint8_t { kOnce, kEachTile, kAccumulate, kQueryTiles };

class TileDecisions {
 public:
  // REQUIRES: `program` outlives this.
  TileDecisions(const ir::Program& program, int64_t tiles);

  // Finds the batch in the program's inputs; before all others.
  Status SplitInputs();
  // Sets the parts of the storages that the op makes. REQUIRES: it was called for every op before.
  Result<Fate> Decide(ir::OpId id);
  // Of a whole tensor each tile reads its rows in this op: a table with a number for each token.
  Status NeedRows(ir::OpId id, ir::TensorId argument);

  Part PartOf(ir::TensorId id) const { return parts_[in_.tensor(id).storage.index()]; }
  Part PartOf(ir::StorageId id) const { return parts_[id.index()]; }
  void SetPart(ir::TensorId id, Part part) { parts_[in_.tensor(id).storage.index()] = part; }
  // A result of an op on all rows at once, of which each tile reads its rows (kSplit).
  void SetJoined(ir::TensorId id) {
    SetPart(id, Part::kSplit);
    joined_.insert(in_.tensor(id).storage);
  }
  bool IsJoined(ir::TensorId id) const { return joined_.contains(in_.tensor(id).storage); }
  bool HasRows(ir::TensorId id) const { return PartOf(id) == Part::kRows || PartOf(id) == Part::kSplit || PartOf(id) == Part::kPrefix; }
  // Of a tensor that has rows: the dimension that holds them, which is the outermost in memory but for inner ones. -1: it has none.
  int64_t RowDimensionOf(ir::TensorId id) const;
  // Whether the tile's rows, or slots of experts, lie inside another dimension: a tensor of its own for each tile, never parts of one.
  bool IsInner(ir::TensorId id) const;
  // The op adds the number of this rank's first row; what it adds for a tile.
  bool AddsFirstRow(ir::OpId id) const { return first_rows_.contains(id); }
  ir::RankExpression FirstRow(ir::OpId id, int64_t tile) const;
  bool IsSliced(ir::OpId id, ir::TensorId argument) const { return sliced_.contains({id, argument}); }
  // Every tile's op needs the sum of the tiles' partial ones.
  bool NeedsSum(ir::OpId id, ir::TensorId argument) const { return summed_.contains({id, argument}); }
  // What each tile makes for itself in a kernel, the same in all: no part of a sum.
  void SetOwnCopy(ir::TensorId id) {
    SetPart(id, Part::kOwn);
    copies_.insert(in_.tensor(id).storage);
  }
  bool SameStorage(ir::TensorId a, ir::TensorId b) const { return in_.tensor(a).storage == in_.tensor(b).storage; }
  Status Refuse(ir::OpId id, const std::string& why) const;

 private:
  void FindRowNumbers();
  bool NumbersRows(ir::OpId id) const;
  int64_t TokensOf(const ir::RankExpression& first) const;
  Result<Fate> DecideAlike(ir::OpId id);
  Result<Fate> DecideFate(ir::OpId id);
  Result<Fate> DecideView(ir::OpId id);
  Result<Fate> CheckRows(ir::OpId id) const;
  Result<Fate> DecideCollective(ir::OpId id, bool own);
  Result<Fate> DecideOwn(ir::OpId id);
  Result<Fate> DecideRows(ir::OpId id);
  Result<Fate> DecideAttention(ir::OpId id);
  Result<Fate> ResultsAre(ir::OpId id, Part first, Part rest);
  Result<Fate> DecideElements(ir::OpId id);
  Result<Fate> DecideProduct(ir::OpId id);
  Result<Fate> DecideFactory(ir::OpId id);
  Status NeedSum(ir::OpId id, ir::TensorId argument);
  int64_t RowsOfFactory(const ir::Op& op) const;
  int64_t RowsByWriter(const ir::Op& writer, ir::TensorId made) const;
  int64_t DimensionOfView(ir::TensorId of, ir::TensorId view) const;
  void FollowInner(const ir::Op& op);
  int64_t InnerOfResults(const ir::Op& op) const;
  bool ReducesRows(const ir::Op& op) const;
  bool IsFirst(const ir::Op& op) const { return PartOf(ir::TensorArguments(op).front()) == Part::kOwn; }
  std::vector<ir::TensorId> Others(const ir::Op& op, const std::vector<ir::TensorId>& written) const;

  const ir::Program& in_;
  const int64_t tiles_;
  const bool one_sequence_;                         // the rows are positions of one sequence, not sequences
  std::map<ir::TensorId, int64_t> row_dimensions_;  // of inner rows, but for views
  std::set<ir::StorageId> copies_;
  std::vector<Part> parts_;       // by storage
  std::vector<bool> each_tile_;   // by op
  std::set<int64_t> row_counts_;  // of the inputs: sequences, and tokens
  std::set<ir::OpId> first_rows_;
  std::set<ir::OpId> counts_rows_;  // makes and counts the rows, of which each tile has its own (of one sequence)
  std::set<ir::StorageId> joined_;
  std::set<std::pair<ir::OpId, ir::TensorId>> sliced_;  // an op reads, of a tensor that is whole, its tile's rows
  std::set<std::pair<ir::OpId, ir::TensorId>> summed_;
};

}  // namespace helm::schedule
