#include "schedule/tile_writer.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace helm::schedule {

using ir::OpId;
using ir::StorageId;
using ir::TensorId;

TileWriter::TileWriter(const ir::Program& program, int64_t tiles, TileDecisions& decisions)
    : in_(program), out_(program), tiles_(static_cast<size_t>(tiles)), decisions_(decisions) {
  out_.ops.clear();
  storages_.resize(in_.storages.size());
  tensors_.resize(in_.tensors.size());
  whole_.resize(in_.tensors.size());
  for (size_t t = 0; t < in_.tensors.size(); ++t) whole_[t] = TensorId(t);
}

OpId TileWriter::Push(ir::Op op, OpId origin) {
  const OpId id(out_.ops.size());
  origins_.push_back(origin);
  for (const TensorId result : op.results) {
    if (result.valid()) out_.tensors[result.index()].producer = id;
  }
  out_.ops.push_back(std::move(op));
  return id;
}

ir::Op TileWriter::PlaceOf(OpId id, size_t tile) const {
  ir::Op op = in_.op(id);
  op.kind = ir::OpKind::kCompute;
  op.arguments.clear();
  op.results.clear();
  op.group = {};
  op.batch = op.region = -1;
  op.tile = static_cast<int32_t>(tile);
  return op;
}

int32_t TileWriter::TileOf(const ir::Op& op) const {
  int32_t tile = 0;
  const auto consider = [&](OpId other) {
    if (other.valid() && out_.op(other).action == op.action) tile = std::max(tile, out_.op(other).tile);
  };
  for (const TensorId argument : ir::TensorArguments(op)) consider(out_.tensor(argument).producer);
  if (op.kind == ir::OpKind::kWait) consider(ir::StartOf(op));
  return tile;
}

TensorId TileWriter::NewTensor(ir::Tensor tensor) {
  out_.tensors.push_back(std::move(tensor));
  return TensorId(out_.tensors.size() - 1);
}

TensorId TileWriter::FreshLike(ir::Tensor like, const std::string& name) {
  like.name = name;
  like.strides = ir::ContiguousStrides(like.shape);
  like.offset = 0;
  like.storage = StorageId(out_.storages.size());
  out_.storages.push_back({name, ir::TensorBytes(like), ir::StorageRole::kActivation, false});
  return NewTensor(std::move(like));
}

StorageId TileWriter::StorageOf(StorageId of, size_t tile) {
  const Part part = decisions_.PartOf(of);
  if (part == Part::kWhole || part == Part::kSplit || part == Part::kAlike) return of;
  std::vector<StorageId>& made = storages_[of.index()];
  while (made.size() < tiles_) {
    ir::Storage storage = in_.storage(of);
    const auto rows = static_cast<int64_t>(part == Part::kRows ? 1 : made.size() + 1);  // in tiles
    if (part != Part::kOwn) storage.bytes = Bytes(storage.bytes.count() / Tiles() * rows);
    if (made.empty()) {
      out_.storages[of.index()].bytes = storage.bytes;
      made.push_back(of);
      continue;
    }
    storage.name += fmt::format(".tile{}", made.size());
    out_.storages.push_back(storage);
    made.emplace_back(out_.storages.size() - 1);
  }
  return made[tile];
}

// The rows of one tile. In a storage of the tile's own what lies outside of them in memory moves together.
void TileWriter::CutRows(TensorId of, size_t tile, ir::Tensor& tensor) const {
  const Part part = decisions_.PartOf(of);
  const auto d = static_cast<size_t>(decisions_.RowDimensionOf(of));
  const int64_t span = tensor.shape[d] * tensor.strides[d];
  tensor.shape[d] /= Tiles();
  if (part == Part::kAlike) return;
  if (part != Part::kRows || sliced_tensors_.contains(of)) {
    tensor.offset += static_cast<int64_t>(tile) * tensor.shape[d] * tensor.strides[d];
    return;
  }
  tensor.offset = tensor.offset / span * (span / Tiles()) + tensor.offset % span;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    if (i != d && tensor.strides[i] >= span && tensor.strides[i] % Tiles() == 0) tensor.strides[i] /= Tiles();
  }
}

ir::Tensor TileWriter::PartTensor(TensorId of, size_t tile) {
  ir::Tensor tensor = in_.tensor(of);
  const bool has_rows = decisions_.HasRows(of) || decisions_.PartOf(of) == Part::kAlike;
  if (has_rows || sliced_tensors_.contains(of)) CutRows(of, tile, tensor);
  tensor.storage = StorageOf(tensor.storage, tile);
  if (tile > 0) tensor.name += fmt::format(".tile{}", tile);
  return tensor;
}

TensorId TileWriter::ResultOf(TensorId of, size_t tile) {
  std::vector<TensorId>& made = tensors_[of.index()];
  if (tile == 0) {
    out_.tensors[of.index()] = PartTensor(of, 0);
    made = {of};
  } else {
    made.push_back(NewTensor(PartTensor(of, tile)));
  }
  whole_[of.index()] = {};
  return made[tile];
}

void TileWriter::SetParts(TensorId of, std::vector<TensorId> parts) {
  tensors_[of.index()] = std::move(parts);
  whole_[of.index()] = {};
}

Result<TensorId> TileWriter::Read(OpId id, TensorId of, size_t tile) {
  const Part part = decisions_.PartOf(of);
  const bool sliced = decisions_.IsSliced(id, of);
  std::vector<TensorId>& made = tensors_[of.index()];
  if ((part == Part::kWhole || part == Part::kAlike) && !sliced && whole_[of.index()].valid()) return Whole(id, of);
  if (made.empty() && (part == Part::kSplit || sliced)) HELM_RETURN_IF_ERROR(Slice(id, of));
  if (made.size() <= tile) {
    return decisions_.Refuse(id, fmt::format("reads '{}', which this tile does not have", in_.tensor(of).name));
  }
  return made[tile];
}

Result<TensorId> TileWriter::Whole(OpId id, TensorId of) const {
  const TensorId whole = whole_[of.index()];
  if (!whole.valid()) return decisions_.Refuse(id, fmt::format("needs all of '{}', which is split into tiles", in_.tensor(of).name));
  return whole;
}

Status TileWriter::Slice(OpId id, TensorId of) {
  HELM_ASSIGN_OR_RETURN(const TensorId whole, Whole(id, of));
  const int64_t d = decisions_.RowDimensionOf(of);
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

Result<TensorId> TileWriter::AllRows(OpId id, TensorId of) {
  if (whole_[of.index()].valid()) return whole_[of.index()];
  TensorId& all = together_[of];
  if (!all.valid()) {
    HELM_ASSIGN_OR_RETURN(all, JoinRows(id, of));
  }
  return all;
}

Result<TensorId> TileWriter::JoinRows(OpId id, TensorId of) {
  if (decisions_.RowDimensionOf(of) != 0) return decisions_.Refuse(id, "needs all rows, which are not the first dimension");
  const ir::Tensor like = in_.tensor(of);
  const TensorId all = FreshLike(like, like.name + ".all");
  ir::Op op = PlaceOf(id, 0);
  op.target = "aten.cat";
  op.arguments = {tensors_[of.index()], int64_t{0}};
  op.tile = TileOf(op);
  op.results = {all};
  Push(std::move(op));
  return all;
}

Status TileWriter::JoinSums(OpId id, TensorId of) {
  if (whole_[of.index()].valid()) return OkStatus();
  const std::vector<TensorId> parts = tensors_[of.index()];
  if (parts.size() != tiles_) {
    return decisions_.Refuse(id, fmt::format("needs the sum of '{}', which not every tile has", in_.tensor(of).name));
  }
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

}  // namespace helm::schedule
