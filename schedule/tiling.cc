#include "schedule/tiling.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "schedule/query_tiles.h"
#include "schedule/tile_writer.h"
#include "schedule/tiling_decisions.h"
#include "schedule/tiling_rules.h"

namespace helm::schedule {
namespace {

using ir::Argument;
using ir::OpId;
using ir::StorageId;
using ir::TensorId;

class Tiler {
 public:
  Tiler(const ir::Program& program, int64_t tiles, const std::vector<bool>& joined)
      : in_(program),
        tiles_(static_cast<size_t>(tiles)),
        decisions_(program, tiles),
        writer_(program, tiles, decisions_),
        query_tiles_(program, writer_),
        joined_(joined) {
    ops_.resize(in_.ops.size());
    can_be_joined_.resize(in_.ops.size());
    for (const ir::Op& op : in_.ops) {
      regions_ = std::max(regions_, op.region + 1);
      if (op.kind != ir::OpKind::kCollectiveStart) continue;
      for (const TensorId result : op.results) moved_.insert(in_.tensor(result).storage);
    }
  }

  Result<TiledProgram> Run() {
    if (std::ranges::any_of(in_.ops, [](const ir::Op& op) { return op.tile > 0; })) {
      return InvalidError("error: tile: the program has tiles already\n  fix: give the number of tiles at once");
    }
    HELM_RETURN_IF_ERROR(decisions_.SplitInputs());
    for (size_t begin = 0, end = 0; begin < in_.ops.size(); begin = end) {
      end = begin + 1;
      while (in_.ops[begin].region >= 0 && end < in_.ops.size() && in_.ops[end].region == in_.ops[begin].region) ++end;
      HELM_RETURN_IF_ERROR(end - begin == 1 ? OneOp(OpId(begin)) : Region(begin, end));
      HELM_RETURN_IF_ERROR(JoinOutputs(begin, end));
    }
    return TiledProgram{std::move(writer_.out()), std::move(writer_.origins()), std::move(can_be_joined_)};
  }

 private:
  Status Refuse(OpId id, const std::string& why) const { return decisions_.Refuse(id, why); }
  int64_t Tiles() const { return static_cast<int64_t>(tiles_); }
  Part PartOf(TensorId id) const { return decisions_.PartOf(id); }
  bool HasRows(TensorId id) const { return decisions_.HasRows(id); }
  bool SameStorage(TensorId a, TensorId b) const { return decisions_.SameStorage(a, b); }

  Status OneOp(OpId id) {
    HELM_ASSIGN_OR_RETURN(const Fate fate, decisions_.Decide(id));
    if (fate == Fate::kOnce || IsViewOfJoined(id)) return Once(id);
    if (fate == Fate::kQueryTiles) return query_tiles_.Write(id);
    can_be_joined_[id.index()] = CanBeJoined(id);
    if (!joined_.empty() && joined_[id.index()] && can_be_joined_[id.index()]) return Joined(id);
    for (size_t k = 0; k < tiles_; ++k) HELM_RETURN_IF_ERROR(fate == Fate::kAccumulate ? Accumulate(id, k) : EachTile(id, k));
    return OkStatus();
  }

  // --- ops on all rows at once ---

  // Of one that no tile has written since.
  bool IsViewOfJoined(OpId id) const {
    const ir::Op& op = in_.op(id);
    if (op.kind != ir::OpKind::kView) return false;
    const TensorId of = ir::TensorArguments(op)[0];
    return decisions_.IsJoined(of) && writer_.HasWhole(of);
  }

  // Where its operands are there as a whole, or are rows of the tiles that can be put together, and its results are its own. An operand
  // that is the same for all tiles has the rows of one.
  bool CanBeJoined(OpId id) const {
    const ir::Op& op = in_.op(id);
    if (op.kind != ir::OpKind::kCompute || op.region >= 0) return false;
    if (RuleOf(op.target) == TileRule::kFactory && PartOf(op.results[0]) == Part::kOwn) return false;  // each tile counts into its own
    for (const TensorId argument : ir::TensorArguments(op)) {
      if (PartOf(argument) == Part::kOwn || PartOf(argument) == Part::kAlike || decisions_.IsInner(argument)) return false;
      if (writer_.HasWhole(argument)) continue;
      // What is put together is contiguous, and operators lay out their results by their operands.
      const ir::Tensor& tensor = in_.tensor(argument);
      if (!HasRows(argument) || decisions_.RowDimensionOf(argument) != 0 || tensor.strides != ir::ContiguousStrides(tensor.shape))
        return false;
    }
    // A tile's collective may write its rows while another tile takes its own apart.
    const auto apart = [&](TensorId result) {
      return result.valid() && (moved_.contains(in_.tensor(result).storage) || decisions_.IsInner(result));
    };
    if (std::ranges::any_of(op.results, apart)) return false;
    return std::ranges::none_of(ir::WrittenTensors(in_, op), [&](TensorId written) { return HasRows(written); });
  }

  Status Joined(OpId id) {
    ir::Op op = in_.op(id);
    HELM_RETURN_IF_ERROR(MapTensors(op.arguments, [&](TensorId t) { return HasRows(t) ? writer_.AllRows(id, t) : writer_.Whole(id, t); }));
    for (const TensorId result : op.results) {
      if (!result.valid() || PartOf(result) == Part::kWhole) continue;
      if (PartOf(result) == Part::kRows) {
        decisions_.SetJoined(result);
      } else {
        decisions_.SetPart(result, Part::kWhole);
      }
    }
    op.tile = writer_.TileOf(op);
    ops_[id.index()].push_back(writer_.Push(std::move(op), id));
    return OkStatus();
  }

  // One kernel for each tile. What the ops of it make that has no rows, each tile makes for itself.
  Status Region(size_t begin, size_t end) {
    std::vector<Fate> fates;
    for (size_t i = begin; i < end; ++i) {
      HELM_ASSIGN_OR_RETURN(const Fate fate, decisions_.Decide(OpId(i)));
      if (fate == Fate::kQueryTiles) return Refuse(OpId(i), "attention in one kernel with other ops cannot be split by its queries");
      fates.push_back(fate);
    }
    if (std::ranges::all_of(fates, [](Fate fate) { return fate == Fate::kOnce; })) {
      return RegionOnce(begin, end);
    }
    HELM_RETURN_IF_ERROR(OwnResults(begin, end, fates));
    HELM_RETURN_IF_ERROR(SliceBefore(begin, end));
    for (size_t k = 0; k < tiles_; ++k) {
      for (size_t i = begin; i < end; ++i) {
        HELM_RETURN_IF_ERROR(fates[i - begin] == Fate::kAccumulate ? Accumulate(OpId(i), k) : EachTile(OpId(i), k));
      }
    }
    return OkStatus();
  }

  // One kernel, which is in the last tile that any of its ops needs.
  Status RegionOnce(size_t begin, size_t end) {
    int32_t tile = 0;
    for (size_t i = begin; i < end; ++i) {
      HELM_RETURN_IF_ERROR(Once(OpId(i)));
      tile = std::max(tile, writer_.out().ops.back().tile);
    }
    for (size_t i = begin; i < end; ++i) writer_.out().ops[ops_[i].back().index()].tile = tile;
    return OkStatus();
  }

  // The views of the tiles' rows that the ops of a region read, which would come between them.
  Status SliceBefore(size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      for (const TensorId of : ir::TensorArguments(in_.ops[i])) {
        const OpId producer = in_.tensor(of).producer;
        if (producer.valid() && producer.index() >= begin) continue;
        const bool sliced = PartOf(of) == Part::kSplit || decisions_.IsSliced(OpId(i), of);
        if (sliced && !writer_.HasParts(of)) HELM_RETURN_IF_ERROR(writer_.Slice(OpId(i), of));
      }
    }
    return OkStatus();
  }

  Status OwnResults(size_t begin, size_t end, const std::vector<Fate>& fates) {
    for (size_t i = begin; i < end; ++i) {
      if (fates[i - begin] == Fate::kAccumulate || in_.ops[i].kind != ir::OpKind::kCompute) continue;
      for (const TensorId result : in_.ops[i].results) {
        const bool whole = result.valid() && PartOf(result) == Part::kWhole;
        if (whole && !in_.storage(in_.tensor(result).storage).persistent) decisions_.SetOwnCopy(result);
      }
    }
    return OkStatus();
  }

  // --- writing ops ---

  template <typename Map>
  Status MapTensors(std::vector<Argument>& arguments, const Map& map) {
    for (Argument& argument : arguments) {
      if (auto* tensor = std::get_if<TensorId>(&argument)) {
        HELM_ASSIGN_OR_RETURN(*tensor, map(*tensor));
      } else if (auto* list = std::get_if<std::vector<TensorId>>(&argument)) {
        for (TensorId& one : *list) {
          HELM_ASSIGN_OR_RETURN(one, map(one));
        }
      }
    }
    return OkStatus();
  }

  Status EachTile(OpId id, size_t k) {
    ir::Op op = in_.op(id);
    op.tile = static_cast<int32_t>(k);
    if (op.region >= 0) op.region += static_cast<int32_t>(k) * regions_;
    if (RuleOf(op.target) == TileRule::kSums) {
      for (const TensorId argument : ir::TensorArguments(op)) {
        if (PartOf(argument) == Part::kWhole) HELM_RETURN_IF_ERROR(decisions_.NeedRows(id, argument));
      }
    }
    HELM_RETURN_IF_ERROR(MapTensors(op.arguments, [&](TensorId t) -> Result<TensorId> {
      if (decisions_.NeedsSum(id, t)) HELM_RETURN_IF_ERROR(writer_.JoinSums(id, t));
      return writer_.Read(id, t, k);
    }));
    for (Argument& argument : op.arguments) {
      if (auto* start = std::get_if<OpId>(&argument)) *start = ops_[start->index()][k];
    }
    SetShapes(id, k, op.arguments);
    if (decisions_.AddsFirstRow(id)) op.arguments[1] = decisions_.FirstRow(id, static_cast<int64_t>(k));
    for (TensorId& result : op.results) {
      if (result.valid()) result = writer_.ResultOf(result, k);
    }
    ops_[id.index()].push_back(writer_.Push(std::move(op), id));
    return OkStatus();
  }

  // The shape, of as_strided strides and offset, and how many of the largest are taken, in the arguments.
  void SetShapes(OpId id, size_t k, std::vector<Argument>& arguments) {
    const ir::Op& op = in_.op(id);
    if (op.target == "aten.topk") arguments[1] = writer_.PartTensor(op.results[0], k).shape.back();
    const int at = ShapeArgument(op.target);
    if (at < 0) return;
    const ir::Tensor tensor = writer_.PartTensor(op.results[0], k);
    arguments[static_cast<size_t>(at)] = tensor.shape;
    if (op.target != "aten.as_strided") return;
    arguments[2] = tensor.strides;
    if (arguments.size() > 3) arguments[3] = tensor.offset;
  }

  Status Once(OpId id) {
    ir::Op op = in_.op(id);
    HELM_RETURN_IF_ERROR(MapTensors(op.arguments, [&](TensorId t) -> Result<TensorId> {
      if (PartOf(t) == Part::kOwn) HELM_RETURN_IF_ERROR(writer_.JoinSums(id, t));
      if (HasRows(t) && ir::IsPointToPoint(in_.op(id))) return writer_.AllRows(id, t);
      return writer_.Whole(id, t);
    }));
    for (Argument& argument : op.arguments) {
      if (auto* start = std::get_if<OpId>(&argument)) *start = ops_[start->index()][0];
    }
    op.tile = writer_.TileOf(op);
    ShrinkAlike(id, op);
    const bool received = op.target == "c10d.recv";
    ops_[id.index()].push_back(writer_.Push(std::move(op), id));
    return received ? SplitReceived(id) : OkStatus();
  }

  // What is alike in all tiles has the rows of one.
  void ShrinkAlike(OpId id, ir::Op& op) {
    if (op.results.empty() || !op.results[0].valid() || PartOf(op.results[0]) != Part::kAlike) return;
    SetShapes(id, 0, op.arguments);
    for (const TensorId result : op.results) {
      if (!result.valid()) continue;
      const StorageId storage = in_.tensor(result).storage;
      writer_.out().tensors[result.index()] = writer_.PartTensor(result, 0);
      writer_.out().storages[storage.index()].bytes = Bytes(in_.storage(storage).bytes.count() / Tiles());
    }
    if (decisions_.AddsFirstRow(id)) op.arguments[1] = decisions_.FirstRow(id, 0);
  }

  Status SplitReceived(OpId id) {
    const TensorId result = in_.op(id).results[0];
    const int64_t d = decisions_.RowDimensionOf(result);
    if (d != 0 || in_.tensor(result).shape[0] % Tiles() != 0) return Refuse(id, "its rows are not a multiple of the tiles");
    decisions_.SetPart(result, Part::kSplit);
    return OkStatus();
  }

  // The partial result of a tile, added to those of the tiles before.
  Status Accumulate(OpId id, size_t k) {
    ir::Op part = in_.op(id);
    const TensorId result = ir::WrittenTensors(in_, part)[0];
    HELM_ASSIGN_OR_RETURN(const TensorId newest, SumBefore(id, result, k));
    part.tile = static_cast<int32_t>(k);
    if (part.region >= 0) part.region += static_cast<int32_t>(k) * regions_;
    HELM_RETURN_IF_ERROR(
        MapTensors(part.arguments, [&](TensorId t) { return SameStorage(t, result) ? Result<TensorId>(newest) : writer_.Read(id, t, k); }));
    if (k > 0) HELM_RETURN_IF_ERROR(AddInstead(id, k, newest, part));
    TensorId version = result;  // of the last one: what others know
    if (k + 1 < tiles_) {
      ir::Tensor tensor = in_.tensor(result);
      tensor.name += fmt::format(".sum{}", k);
      version = writer_.NewTensor(std::move(tensor));
    }
    part.results = {version};
    ops_[id.index()].push_back(writer_.Push(std::move(part), id));
    return OkStatus();
  }

  // What op `id` adds to in tile k.
  Result<TensorId> SumBefore(OpId id, TensorId result, size_t k) const {
    if (k > 0) return writer_.out().op(ops_[id.index()].back()).results[0];
    for (const TensorId argument : ir::TensorArguments(in_.op(id))) {
      if (SameStorage(argument, result)) return writer_.Whole(id, argument);
    }
    return Refuse(id, "writes into a sum that it does not read");
  }

  // The op that adds to a sum what this one would write in its place.
  Status AddInstead(OpId id, size_t k, TensorId sum, ir::Op& part) {
    const std::string& target = in_.op(id).target;
    if (target == "aten.addmm_" || target == "aten.baddbmm_" || target == "aten.add_.Tensor") return OkStatus();
    const std::vector<TensorId> arguments = ir::TensorArguments(part);
    if (target == "aten.mm.out" || target == "aten.bmm.out") {
      part.target = target == "aten.mm.out" ? "aten.addmm_" : "aten.baddbmm_";
      part.arguments = {sum, arguments[0], arguments[1]};
    } else if (target == "aten.copy_") {
      part.target = "aten.add_.Tensor";
      part.arguments = {sum, arguments[1]};
    } else if (target == "aten.sum.IntList_out") {
      ir::Op fresh = writer_.PlaceOf(id, k);
      fresh.region = part.region;
      fresh.target = "aten.sum.dim_IntList";
      fresh.arguments = {part.arguments.begin(), part.arguments.end() - 1};
      const TensorId value =
          writer_.FreshLike(writer_.out().tensor(sum), fmt::format("{}.part{}", in_.tensor(in_.op(id).results[0]).name, k));
      fresh.results = {value};
      writer_.Push(std::move(fresh));
      part.target = "aten.add_.Tensor";
      part.arguments = {sum, value};
    } else {
      return Refuse(id, "there is no rule to add to what it writes");
    }
    return OkStatus();
  }

  // Outputs that these ops made, so that the outside finds them whole.
  Status JoinOutputs(size_t begin, size_t end) {
    for (auto& [name, tensor] : writer_.out().outputs) {
      const TensorId of = in_.outputs.at(name);
      const OpId producer = in_.tensor(of).producer;
      if (!producer.valid() || producer.index() < begin || producer.index() >= end) continue;
      if (PartOf(of) == Part::kOwn) HELM_RETURN_IF_ERROR(writer_.JoinSums(producer, of));
      if (HasRows(of) && !writer_.HasWhole(of)) {
        HELM_ASSIGN_OR_RETURN(tensor, writer_.AllRows(producer, of));
      } else {
        HELM_ASSIGN_OR_RETURN(tensor, writer_.Whole(producer, of));
      }
    }
    return OkStatus();
  }

  const ir::Program& in_;
  const size_t tiles_;
  TileDecisions decisions_;
  TileWriter writer_;
  QueryTiles query_tiles_;
  int32_t regions_ = 0;
  std::vector<std::vector<OpId>> ops_;  // by op of in_
  const std::vector<bool>& joined_;     // by op of in_
  std::set<StorageId> moved_;           // that collectives write
  std::vector<bool> can_be_joined_;     // by op of in_
};

}  // namespace

Result<TiledProgram> TileWithJoined(const ir::Program& program, int64_t tiles, const std::vector<bool>& joined) {
  return Tiler(program, tiles, joined).Run();
}

Result<ir::Program> Tile(const ir::Program& program, int64_t tiles) {
  if (tiles == 1) return program;
  HELM_ASSIGN_OR_RETURN(TiledProgram tiled, TileWithJoined(program, tiles, {}));
  return std::move(tiled.program);
}

}  // namespace helm::schedule
