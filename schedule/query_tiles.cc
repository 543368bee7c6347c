#include "schedule/query_tiles.h"

#include <utility>

#include <fmt/format.h>

#include "schedule/tiling_rules.h"

namespace helm::schedule {

using ir::Argument;
using ir::OpId;
using ir::TensorId;

namespace {

// Large enough that the exponential is 0, and small enough that a score can be added.
constexpr double kMasked = -1e30;

constexpr size_t kPositions = 2;  // of [sequences, heads, positions, width]

}  // namespace

Status QueryTiles::Write(OpId id) { return IsAttentionBackward(in_.op(id)) ? Backward(id) : Forward(id); }

TensorId QueryTiles::View(OpId id, size_t tile, const char* target, std::vector<Argument> arguments, ir::Tensor result) {
  ir::Op op = writer_.PlaceOf(id, tile);
  op.kind = ir::OpKind::kView;
  op.target = target;
  op.arguments = std::move(arguments);
  const TensorId made = writer_.NewTensor(std::move(result));
  op.results = {made};
  writer_.Push(std::move(op));
  return made;
}

TensorId QueryTiles::Compute(OpId id, size_t tile, const char* target, std::vector<Argument> arguments, TensorId result) {
  ir::Op op = writer_.PlaceOf(id, tile);
  op.target = target;
  op.arguments = std::move(arguments);
  op.results = {result};
  writer_.Push(std::move(op));
  return result;
}

// [sequences, heads, positions, width] and [sequences, positions, heads, width], either from the other.
TensorId QueryTiles::ByPosition(OpId id, size_t tile, TensorId by_head) {
  ir::Tensor view = writer_.out().tensor(by_head);
  std::swap(view.shape[1], view.shape[2]);
  std::swap(view.strides[1], view.strides[2]);
  view.name = fmt::format("{}.swapped{}", view.name, writer_.out().tensors.size());
  return View(id, tile, "aten.transpose.int", {by_head, int64_t{1}, int64_t{2}}, std::move(view));
}

// Keys or values of the tiles up to this one, in the memory order of the kernels' results: positions outside of heads.
Result<TensorId> QueryTiles::Prefix(OpId id, TensorId of, size_t tile) {
  HELM_ASSIGN_OR_RETURN(const TensorId own, writer_.Read(id, of, tile));
  if (tile == 0) return own;
  std::vector<TensorId> parts;
  for (size_t k = 0; k <= tile; ++k) {
    HELM_ASSIGN_OR_RETURN(const TensorId part, writer_.Read(id, of, k));
    parts.push_back(ByPosition(id, tile, part));
  }
  ir::Tensor like = writer_.out().tensor(parts[0]);
  like.shape[1] *= static_cast<int64_t>(parts.size());
  const std::string name = fmt::format("{}.prefix{}", in_.tensor(of).name, writer_.out().tensors.size());
  const TensorId together = writer_.FreshLike(std::move(like), name);
  Compute(id, tile, "aten.cat", {parts, int64_t{1}}, together);
  return ByPosition(id, tile, together);
}

// Of [queries, keys]: what is added to the scores. The same for all layers of an action.
TensorId QueryTiles::MaskOf(OpId id, TensorId queries, size_t tile) {
  TensorId& mask = masks_[{in_.op(id).action, tile}];
  if (mask.valid()) return mask;
  ir::Tensor like = writer_.out().tensor(queries);
  const int64_t rows = like.shape[kPositions], before = static_cast<int64_t>(tile) * rows;
  like.shape = {rows, before + rows};
  like.dtype = ir::DataType::kFloat32;
  const std::string name = fmt::format("attention.mask{}", writer_.out().tensors.size());
  TensorId newest = writer_.FreshLike(like, name);
  Compute(id, tile, "aten.new_ones", {queries, like.shape, like.dtype}, newest);
  const auto version = [&](const char* suffix) {
    ir::Tensor next = writer_.out().tensor(newest);
    next.name = name + suffix;
    return writer_.NewTensor(std::move(next));
  };
  newest = Compute(id, tile, "aten.triu_", {newest, before + 1}, version(".after"));
  mask = Compute(id, tile, "aten.mul_.Scalar", {newest, kMasked}, version(".scores"));
  return mask;
}

// The op of a tile, with its operands and no results.
Result<ir::Op> QueryTiles::Kernel(OpId id, size_t tile) {
  ir::Op op = in_.op(id);
  const AttentionArguments& known = *AttentionArgumentsOf(op.target);
  const int64_t rows = Rows(std::get<TensorId>(op.arguments[known.query])), keys = static_cast<int64_t>(tile + 1) * rows;
  for (size_t i = 0; i < op.arguments.size(); ++i) {
    auto* tensor = std::get_if<TensorId>(&op.arguments[i]);
    if (tensor == nullptr) continue;
    const bool of_keys = i == known.query + 1 || i == known.query + 2;
    HELM_ASSIGN_OR_RETURN(*tensor, of_keys ? Prefix(id, *tensor, tile) : writer_.Read(id, *tensor, tile));
  }
  if (known.lengths >= 0) {
    op.arguments[static_cast<size_t>(known.lengths)] = rows;
    op.arguments[static_cast<size_t>(known.lengths) + 1] = keys;
  }
  if (known.mask >= 0 && tile > 0) {
    op.arguments[known.causal] = false;
    op.arguments.resize(static_cast<size_t>(known.mask) + 1);
    op.arguments.back() = MaskOf(id, std::get<TensorId>(op.arguments[known.query]), tile);
  }
  op.tile = static_cast<int32_t>(tile);
  return op;
}

Status QueryTiles::Forward(OpId id) {
  for (size_t k = 0; k < writer_.tiles(); ++k) {
    HELM_ASSIGN_OR_RETURN(ir::Op op, Kernel(id, k));
    for (TensorId& result : op.results) {
      if (result.valid()) result = writer_.ResultOf(result, k);
    }
    writer_.Push(std::move(op), id);
  }
  return OkStatus();
}

// The rows of tile `tile` in what tile `writes` made of its prefix.
TensorId QueryTiles::PartOfPrefix(OpId id, TensorId of, TensorId prefix, size_t writes, size_t tile) {
  ir::Tensor view = writer_.out().tensor(prefix);
  const int64_t rows = view.shape[kPositions] / static_cast<int64_t>(writes + 1), begin = static_cast<int64_t>(tile) * rows;
  view.shape[kPositions] = rows;
  view.offset += begin * view.strides[kPositions];
  view.name = fmt::format("{}.of{}.rows{}", in_.tensor(of).name, writes, tile);
  return View(id, tile, "aten.slice.Tensor", {prefix, static_cast<int64_t>(kPositions), begin, begin + rows}, std::move(view));
}

// Of what all tiles from `tile` on have for its positions, in the storage of its own.
TensorId QueryTiles::SumOf(OpId id, TensorId of, const std::vector<TensorId>& prefixes, size_t tile) {
  TensorId sum = PartOfPrefix(id, of, prefixes[tile], tile, tile);
  for (size_t k = tile + 1; k < prefixes.size(); ++k) {
    const TensorId more = PartOfPrefix(id, of, prefixes[k], k, tile);
    ir::Tensor version = writer_.out().tensor(sum);
    version.name = fmt::format("{}.tile{}.sum{}", in_.tensor(of).name, tile, k);
    sum = Compute(id, tile, "aten.add_.Tensor", {sum, more}, writer_.NewTensor(std::move(version)));
  }
  return sum;
}

// The last tile first: it needs no other for the gradients of its keys.
Status QueryTiles::Backward(OpId id) {
  const ir::Op& op = in_.op(id);
  const size_t tiles = writer_.tiles();
  for (size_t k = 0; k < tiles; ++k) writer_.ResultOf(op.results[0], k);
  std::vector<std::vector<TensorId>> prefixes(2, std::vector<TensorId>(tiles)), sums = prefixes;
  for (size_t k = tiles; k-- > 0;) {
    HELM_ASSIGN_OR_RETURN(ir::Op kernel, Kernel(id, k));
    HELM_ASSIGN_OR_RETURN(kernel.results[0], writer_.Read(id, op.results[0], k));
    for (size_t i = 0; i < 2; ++i) {
      const TensorId of = op.results[i + 1];
      ir::Tensor prefix = in_.tensor(of);
      prefix.shape[kPositions] = prefix.shape[kPositions] / static_cast<int64_t>(tiles) * static_cast<int64_t>(k + 1);
      prefix.storage = writer_.StorageOf(prefix.storage, k);
      prefix.name += fmt::format(".prefix{}", k);
      if (k == 0) writer_.out().tensors[of.index()] = prefix;
      kernel.results[i + 1] = prefixes[i][k] = k == 0 ? of : writer_.NewTensor(prefix);
    }
    writer_.Push(std::move(kernel), id);
    for (size_t i = 0; i < 2; ++i) sums[i][k] = SumOf(id, op.results[i + 1], prefixes[i], k);
  }
  for (size_t i = 0; i < 2; ++i) writer_.SetParts(op.results[i + 1], std::move(sums[i]));
  return OkStatus();
}

}  // namespace helm::schedule
