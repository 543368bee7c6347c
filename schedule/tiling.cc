#include "schedule/tiling.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

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
      : in_(program), out_(program), tiles_(static_cast<size_t>(tiles)), decisions_(program, tiles), joined_(joined) {
    out_.ops.clear();
    storages_.resize(in_.storages.size());
    tensors_.resize(in_.tensors.size());
    whole_.resize(in_.tensors.size());
    ops_.resize(in_.ops.size());
    can_be_joined_.resize(in_.ops.size());
    for (size_t t = 0; t < in_.tensors.size(); ++t) whole_[t] = TensorId(t);
    for (const TensorId tensor : decisions_.PutTogether()) {
      if (!in_.storage(in_.tensor(tensor).storage).persistent) put_together_.insert(in_.tensor(tensor).storage);
    }
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
      HELM_RETURN_IF_ERROR(PutTogether(begin, end));
      HELM_RETURN_IF_ERROR(JoinOutputs(begin, end));
    }
    return TiledProgram{std::move(out_), std::move(origins_), std::move(can_be_joined_)};
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
    return decisions_.IsJoined(of) && whole_[of.index()].valid();
  }

  // Where its operands are there as a whole, or are rows of the tiles that can be put together, and its results are its own. An operand
  // that is the same for all tiles has the rows of one.
  bool CanBeJoined(OpId id) const {
    const ir::Op& op = in_.op(id);
    if (op.kind != ir::OpKind::kCompute || op.region >= 0) return false;
    for (const TensorId argument : ir::TensorArguments(op)) {
      if (PartOf(argument) == Part::kOwn || PartOf(argument) == Part::kAlike) return false;
      if (whole_[argument.index()].valid()) continue;
      // What is put together is contiguous, and operators lay out their results by their operands.
      const ir::Tensor& tensor = in_.tensor(argument);
      if (!HasRows(argument) || RowDimension(tensor) != 0 || tensor.strides != ir::ContiguousStrides(tensor.shape)) return false;
    }
    // A tile's collective may write its rows while another tile takes its own apart.
    const auto moved = [&](TensorId result) { return result.valid() && moved_.contains(in_.tensor(result).storage); };
    if (std::ranges::any_of(op.results, moved)) return false;
    return std::ranges::none_of(ir::WrittenTensors(in_, op), [&](TensorId written) { return HasRows(written); });
  }

  Status Joined(OpId id) {
    ir::Op op = in_.op(id);
    HELM_RETURN_IF_ERROR(MapTensors(op.arguments, [&](TensorId t) { return HasRows(t) ? AllRows(id, t) : Whole(id, t); }));
    for (const TensorId result : op.results) {
      if (!result.valid() || PartOf(result) == Part::kWhole) continue;
      if (PartOf(result) == Part::kRows) {
        decisions_.SetJoined(result);
      } else {
        decisions_.SetPart(result, Part::kWhole);
      }
    }
    op.tile = TileOf(op);
    ops_[id.index()].push_back(Push(std::move(op), id));
    return OkStatus();
  }

  Result<TensorId> AllRows(OpId id, TensorId of) {
    if (whole_[of.index()].valid()) return whole_[of.index()];
    TensorId& all = together_[of];
    if (!all.valid()) {
      HELM_ASSIGN_OR_RETURN(all, JoinRows(id, of));
    }
    return all;
  }

  // One kernel for each tile. What the ops of it make that has no rows, each tile makes for itself.
  Status Region(size_t begin, size_t end) {
    std::vector<Fate> fates;
    for (size_t i = begin; i < end; ++i) {
      HELM_ASSIGN_OR_RETURN(const Fate fate, decisions_.Decide(OpId(i)));
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
      tile = std::max(tile, out_.ops.back().tile);
    }
    for (size_t i = begin; i < end; ++i) out_.ops[ops_[i].back().index()].tile = tile;
    return OkStatus();
  }

  // The views of the tiles' rows that the ops of a region read, which would come between them.
  Status SliceBefore(size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      for (const TensorId of : ir::TensorArguments(in_.ops[i])) {
        const OpId producer = in_.tensor(of).producer;
        if (producer.valid() && producer.index() >= begin) continue;
        const bool sliced = PartOf(of) == Part::kSplit || decisions_.IsSliced(OpId(i), of);
        if (sliced && tensors_[of.index()].empty()) HELM_RETURN_IF_ERROR(Slice(OpId(i), of));
      }
    }
    return OkStatus();
  }

  Status OwnResults(size_t begin, size_t end, const std::vector<Fate>& fates) {
    for (size_t i = begin; i < end; ++i) {
      if (decisions_.IsOnWholeSequence(OpId(i))) return Refuse(OpId(i), "works on whole sequences in one kernel with ops that do not");
      if (fates[i - begin] == Fate::kAccumulate || in_.ops[i].kind != ir::OpKind::kCompute) continue;
      for (const TensorId result : in_.ops[i].results) {
        const bool whole = result.valid() && PartOf(result) == Part::kWhole;
        if (whole && !in_.storage(in_.tensor(result).storage).persistent) decisions_.SetPart(result, Part::kOwn);
      }
    }
    return OkStatus();
  }

  // --- tensors of the tiles ---

  StorageId StorageOf(StorageId of, size_t k) {
    const Part part = decisions_.PartOf(of);
    const bool apart = put_together_.contains(of);  // the storage itself is for all rows
    if ((k == 0 && !apart) || part == Part::kWhole || part == Part::kSplit || part == Part::kAlike) return of;
    std::vector<StorageId>& made = storages_[of.index()];
    while (made.size() < tiles_) {
      ir::Storage storage = in_.storage(of);
      if (part == Part::kRows) storage.bytes = Bytes(storage.bytes.count() / Tiles());
      storage.name += fmt::format(".tile{}", apart ? made.size() : std::max<size_t>(made.size(), 1));
      if (made.empty() && !apart) {
        if (part == Part::kRows) out_.storages[of.index()].bytes = storage.bytes;
        made.push_back(of);
        continue;
      }
      out_.storages.push_back(storage);
      made.emplace_back(out_.storages.size() - 1);
    }
    return made[k];
  }

  // The tile's part of a tensor: its rows, or one of its own.
  ir::Tensor PartTensor(TensorId of, size_t k) {
    ir::Tensor tensor = in_.tensor(of);
    const Part part = PartOf(of);
    if (part == Part::kRows || part == Part::kSplit || part == Part::kAlike || sliced_tensors_.contains(of)) {
      const auto d = static_cast<size_t>(RowDimension(tensor));
      tensor.shape[d] /= Tiles();
      if (part != Part::kRows && part != Part::kAlike) tensor.offset += static_cast<int64_t>(k) * tensor.shape[d] * tensor.strides[d];
    }
    tensor.storage = StorageOf(tensor.storage, k);
    if (k > 0) tensor.name += fmt::format(".tile{}", k);
    return tensor;
  }

  TensorId NewTensor(ir::Tensor tensor) {
    out_.tensors.push_back(std::move(tensor));
    return TensorId(out_.tensors.size() - 1);
  }

  // The result of tile k. Of tile 0 it has the place of the whole one in the list.
  TensorId ResultOf(TensorId of, size_t k) {
    std::vector<TensorId>& made = tensors_[of.index()];
    if (put_together_.contains(in_.tensor(of).storage)) {
      made.push_back(NewTensor(PartTensor(of, k)));
      if (k == 0) out_.tensors[made[0].index()].name += ".tile0";
    } else if (k == 0) {
      StorageOf(in_.tensor(of).storage, tiles_ > 1 ? 1 : 0);  // so that the storage has its size
      out_.tensors[of.index()] = PartTensor(of, 0);
      made = {of};
    } else {
      made.push_back(NewTensor(PartTensor(of, k)));
    }
    whole_[of.index()] = {};
    return made[k];
  }

  // What tile k of op `id` reads of a tensor.
  Result<TensorId> Read(OpId id, TensorId of, size_t k) {
    const Part part = PartOf(of);
    const bool sliced = decisions_.IsSliced(id, of);
    std::vector<TensorId>& made = tensors_[of.index()];
    if ((part == Part::kWhole || part == Part::kAlike) && !sliced && whole_[of.index()].valid()) return Whole(id, of);
    if (made.empty() && (part == Part::kSplit || sliced)) HELM_RETURN_IF_ERROR(Slice(id, of));
    if (made.size() <= k) return Refuse(id, fmt::format("reads '{}', which this tile does not have", in_.tensor(of).name));
    return made[k];
  }

  Result<TensorId> Whole(OpId id, TensorId of) const {
    const TensorId whole = whole_[of.index()];
    if (!whole.valid()) return Refuse(id, fmt::format("needs all of '{}', which is split into tiles", in_.tensor(of).name));
    return whole;
  }

  // Views of the tiles' rows of a tensor that is there as a whole.
  Status Slice(OpId id, TensorId of) {
    HELM_ASSIGN_OR_RETURN(const TensorId whole, Whole(id, of));
    const int64_t d = RowDimension(in_.tensor(of));
    sliced_tensors_.insert(of);
    for (size_t k = 0; k < tiles_; ++k) {
      ir::Tensor tensor = PartTensor(of, k);
      tensor.name = fmt::format("{}.rows{}", in_.tensor(of).name, k);
      const int64_t rows = tensor.shape[static_cast<size_t>(d)], begin = static_cast<int64_t>(k) * rows;
      ir::Op op = PlaceOf(id, k);
      op.kind = ir::OpKind::kView;
      op.target = "aten.slice.Tensor";
      op.arguments = {whole, d, begin, begin + rows};
      const TensorId result = NewTensor(std::move(tensor));
      op.results = {result};
      Push(std::move(op));
      tensors_[of.index()].push_back(result);
    }
    sliced_tensors_.erase(of);
    return OkStatus();
  }

  // --- writing ops ---

  OpId Push(ir::Op op, OpId origin = {}) {
    const OpId id(out_.ops.size());
    origins_.push_back(origin);
    for (const TensorId result : op.results) {
      if (result.valid()) out_.tensors[result.index()].producer = id;
    }
    out_.ops.push_back(std::move(op));
    return id;
  }

  // An op where `id` is, with nothing else of it.
  ir::Op PlaceOf(OpId id, size_t k) const {
    ir::Op op = in_.op(id);
    op.kind = ir::OpKind::kCompute;
    op.arguments.clear();
    op.results.clear();
    op.group = {};
    op.batch = op.region = -1;
    op.tile = static_cast<int32_t>(k);
    return op;
  }

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
    HELM_RETURN_IF_ERROR(MapTensors(op.arguments, [&](TensorId t) { return Read(id, t, k); }));
    for (Argument& argument : op.arguments) {
      if (auto* start = std::get_if<OpId>(&argument)) *start = ops_[start->index()][k];
    }
    SetShapes(id, k, op.arguments);
    if (decisions_.AddsFirstRow(id)) op.arguments[1] = decisions_.FirstRow(id, static_cast<int64_t>(k));
    for (TensorId& result : op.results) {
      if (result.valid()) result = ResultOf(result, k);
    }
    ops_[id.index()].push_back(Push(std::move(op), id));
    return OkStatus();
  }

  // The shape, and of as_strided the offset, in the arguments.
  void SetShapes(OpId id, size_t k, std::vector<Argument>& arguments) {
    const ir::Op& op = in_.op(id);
    const int at = ShapeArgument(op.target);
    if (at < 0) return;
    const ir::Tensor tensor = PartTensor(op.results[0], k);
    arguments[static_cast<size_t>(at)] = tensor.shape;
    if (op.target == "aten.as_strided" && arguments.size() > 3) arguments[3] = tensor.offset;
  }

  Status Once(OpId id) {
    ir::Op op = in_.op(id);
    HELM_RETURN_IF_ERROR(MapTensors(op.arguments, [&](TensorId t) -> Result<TensorId> {
      if (PartOf(t) == Part::kOwn) HELM_RETURN_IF_ERROR(JoinSums(id, t));
      if (HasRows(t) && ir::IsPointToPoint(in_.op(id))) return AllRows(id, t);
      return Whole(id, t);
    }));
    for (Argument& argument : op.arguments) {
      if (auto* start = std::get_if<OpId>(&argument)) *start = ops_[start->index()][0];
    }
    op.tile = TileOf(op);
    ShrinkAlike(id, op);
    const bool received = op.target == "c10d.recv";
    ops_[id.index()].push_back(Push(std::move(op), id));
    return received ? SplitReceived(id) : OkStatus();
  }

  // What is alike in all tiles has the rows of one.
  void ShrinkAlike(OpId id, ir::Op& op) {
    if (op.results.empty() || !op.results[0].valid() || PartOf(op.results[0]) != Part::kAlike) return;
    SetShapes(id, 0, op.arguments);
    for (const TensorId result : op.results) {
      if (!result.valid()) continue;
      const StorageId storage = in_.tensor(result).storage;
      out_.tensors[result.index()] = PartTensor(result, 0);
      out_.storages[storage.index()].bytes = Bytes(in_.storage(storage).bytes.count() / Tiles());
    }
    if (decisions_.AddsFirstRow(id)) op.arguments[1] = decisions_.FirstRow(id, 0);
  }

  Status SplitReceived(OpId id) {
    const TensorId result = in_.op(id).results[0];
    const int64_t d = RowDimension(in_.tensor(result));
    if (d != 0 || in_.tensor(result).shape[0] % Tiles() != 0) return Refuse(id, "its rows are not a multiple of the tiles");
    decisions_.SetPart(result, Part::kSplit);
    return OkStatus();
  }

  // An op that is there once belongs to the last tile of the same action that it needs.
  int32_t TileOf(const ir::Op& op) const {
    int32_t tile = 0;
    const auto consider = [&](OpId other) {
      if (other.valid() && out_.op(other).action == op.action) tile = std::max(tile, out_.op(other).tile);
    };
    for (const TensorId argument : ir::TensorArguments(op)) consider(out_.tensor(argument).producer);
    if (op.kind == ir::OpKind::kWait) consider(ir::StartOf(op));
    return tile;
  }

  // The partial result of a tile, added to those of the tiles before.
  Status Accumulate(OpId id, size_t k) {
    ir::Op part = in_.op(id);
    const TensorId result = ir::WrittenTensors(in_, part)[0];
    HELM_ASSIGN_OR_RETURN(const TensorId newest, SumBefore(id, result, k));
    part.tile = static_cast<int32_t>(k);
    if (part.region >= 0) part.region += static_cast<int32_t>(k) * regions_;
    HELM_RETURN_IF_ERROR(
        MapTensors(part.arguments, [&](TensorId t) { return SameStorage(t, result) ? Result<TensorId>(newest) : Read(id, t, k); }));
    if (k > 0) HELM_RETURN_IF_ERROR(AddInstead(id, k, newest, part));
    TensorId version = result;  // of the last one: what others know
    if (k + 1 < tiles_) {
      ir::Tensor tensor = in_.tensor(result);
      tensor.name += fmt::format(".sum{}", k);
      version = NewTensor(std::move(tensor));
    }
    part.results = {version};
    ops_[id.index()].push_back(Push(std::move(part), id));
    return OkStatus();
  }

  // What op `id` adds to in tile k.
  Result<TensorId> SumBefore(OpId id, TensorId result, size_t k) const {
    if (k > 0) return out_.op(ops_[id.index()].back()).results[0];
    for (const TensorId argument : ir::TensorArguments(in_.op(id))) {
      if (SameStorage(argument, result)) return Whole(id, argument);
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
      ir::Op fresh = PlaceOf(id, k);
      fresh.region = part.region;
      fresh.target = "aten.sum.dim_IntList";
      fresh.arguments = {part.arguments.begin(), part.arguments.end() - 1};
      const TensorId value = FreshLike(out_.tensor(sum), fmt::format("{}.part{}", in_.tensor(in_.op(id).results[0]).name, k));
      fresh.results = {value};
      Push(std::move(fresh));
      part.target = "aten.add_.Tensor";
      part.arguments = {sum, value};
    } else {
      return Refuse(id, "there is no rule to add to what it writes");
    }
    return OkStatus();
  }

  TensorId FreshLike(ir::Tensor like, const std::string& name) {
    like.name = name;
    like.strides = ir::ContiguousStrides(like.shape);
    like.offset = 0;
    like.storage = StorageId(out_.storages.size());
    out_.storages.push_back({name, ir::TensorBytes(like), ir::StorageRole::kActivation, false});
    return NewTensor(std::move(like));
  }

  // Adds up the partial sums of the tiles, in the first one's place.
  Status JoinSums(OpId id, TensorId of) {
    if (whole_[of.index()].valid()) return OkStatus();
    const std::vector<TensorId> parts = tensors_[of.index()];
    if (parts.size() != tiles_) return Refuse(id, fmt::format("needs the sum of '{}', which not every tile has", in_.tensor(of).name));
    TensorId sum = parts[0];
    for (size_t k = 1; k < tiles_; ++k) {
      ir::Op op = PlaceOf(id, 0);
      op.target = "aten.add_.Tensor";
      op.arguments = {sum, parts[k]};
      op.tile = TileOf(op);
      ir::Tensor version = out_.tensor(parts[0]);
      version.name = fmt::format("{}.sum{}", in_.tensor(of).name, k);
      sum = NewTensor(std::move(version));
      op.results = {sum};
      Push(std::move(op));
    }
    whole_[of.index()] = sum;
    decisions_.SetPart(of, Part::kWhole);
    return OkStatus();
  }

  // What these ops made in tiles and ops on whole sequences read.
  Status PutTogether(size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const ir::Op& op = in_.ops[i];
      for (const TensorId result : op.results) {
        if (!result.valid() || !decisions_.IsPutTogether(result) || whole_[result.index()].valid()) continue;
        if (op.kind != ir::OpKind::kCompute) return Refuse(OpId(i), "attention would read it before it has come");
        const ir::Tensor& tensor = in_.tensor(result);
        if (RowDimension(tensor) != 0 || tensor.strides != ir::ContiguousStrides(tensor.shape) || tensor.offset != 0) {
          return Refuse(OpId(i), "attention needs all of its rows, which are not the first dimension");
        }
        Cat(OpId(i), result, result);
        out_.tensors[result.index()] = tensor;
        out_.tensors[result.index()].producer = OpId(out_.ops.size() - 1);
        whole_[result.index()] = result;
        decisions_.SetJoined(result);
      }
    }
    return OkStatus();
  }

  // `all`: what becomes of the tiles' rows of a tensor, tile after tile.
  void Cat(OpId id, TensorId of, TensorId all) {
    ir::Op op = PlaceOf(id, 0);
    op.target = "aten.cat";
    op.arguments = {tensors_[of.index()], int64_t{0}};
    op.tile = TileOf(op);
    op.results = {all};
    Push(std::move(op));
  }

  // All rows again, tile after tile.
  Result<TensorId> JoinRows(OpId id, TensorId of) {
    if (RowDimension(in_.tensor(of)) != 0) return Refuse(id, "needs all rows, which are not the first dimension");
    const ir::Tensor like = in_.tensor(of);
    const TensorId all = FreshLike(like, like.name + ".all");
    Cat(id, of, all);
    return all;
  }

  // Outputs that these ops made, so that the outside finds them whole.
  Status JoinOutputs(size_t begin, size_t end) {
    for (auto& [name, tensor] : out_.outputs) {
      const TensorId of = in_.outputs.at(name);
      const OpId producer = in_.tensor(of).producer;
      if (!producer.valid() || producer.index() < begin || producer.index() >= end) continue;
      if (PartOf(of) == Part::kOwn) HELM_RETURN_IF_ERROR(JoinSums(producer, of));
      if (HasRows(of) && !whole_[of.index()].valid()) {
        HELM_ASSIGN_OR_RETURN(tensor, JoinRows(producer, of));
      } else {
        HELM_ASSIGN_OR_RETURN(tensor, Whole(producer, of));
      }
    }
    return OkStatus();
  }

  const ir::Program& in_;
  ir::Program out_;
  const size_t tiles_;
  TileDecisions decisions_;
  int32_t regions_ = 0;
  std::vector<std::vector<StorageId>> storages_;  // by storage of in_: of each tile, where it has one of its own
  std::vector<std::vector<TensorId>> tensors_;    // by tensor of in_: of each tile
  std::vector<TensorId> whole_;                   // by tensor of in_: all of it; none where there are only tiles
  std::vector<std::vector<OpId>> ops_;            // by op of in_
  std::set<TensorId> sliced_tensors_;             // that are being sliced
  const std::vector<bool>& joined_;               // by op of in_
  std::set<StorageId> put_together_;              // made in tiles, read by ops on whole sequences
  std::set<StorageId> moved_;                     // that collectives write
  std::map<TensorId, TensorId> together_;         // rows of the tiles that have been put together
  std::vector<OpId> origins_;                     // by op of out_
  std::vector<bool> can_be_joined_;               // by op of in_
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
