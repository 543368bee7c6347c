#include "schedule/tiling_decisions.h"

#include <algorithm>

#include <fmt/format.h>

#include "ir/target.h"
#include "schedule/tiling_rules.h"

namespace helm::schedule {

using ir::OpId;
using ir::TensorId;

namespace {

constexpr int64_t kUnclear = -1, kNoRows = -2;

// Whether the micro-batch is one sequence, so that the rows of its tensors are positions. By its attention, and without any by its inputs.
bool IsOneSequence(const ir::Program& program) {
  bool any = false;
  for (const ir::Op& op : program.ops) {
    if (!IsAttention(op.target)) continue;
    any = true;
    if (program.tensor(ir::TensorArguments(op)[0]).shape.front() != 1) return false;
  }
  if (any) return true;
  return std::ranges::any_of(program.inputs, [&](const auto& input) {
    const ir::Tensor& tensor = program.tensor(input.second);
    return program.storage(tensor.storage).role == ir::StorageRole::kInput && tensor.shape.size() == 2 && tensor.shape[0] == 1;
  });
}

}  // namespace

TileDecisions::TileDecisions(const ir::Program& program, int64_t tiles)
    : in_(program), tiles_(tiles), one_sequence_(IsOneSequence(program)), parts_(program.storages.size(), Part::kWhole) {
  each_tile_.resize(program.ops.size());
}

int64_t TileDecisions::RowDimensionOf(TensorId id) const {
  const auto known = row_dimensions_.find(id);
  if (known != row_dimensions_.end()) return known->second;
  if (IsInner(id)) return DimensionOfView(ir::TensorArguments(in_.op(in_.tensor(id).producer))[0], id);
  return RowDimension(in_.tensor(id));
}

bool TileDecisions::IsInner(TensorId id) const {
  if (row_dimensions_.contains(id)) return true;
  const OpId producer = in_.tensor(id).producer;
  return producer.valid() && in_.op(producer).kind == ir::OpKind::kView && IsInner(ir::TensorArguments(in_.op(producer))[0]);
}

// The dimension in which one steps from row to row.
int64_t TileDecisions::DimensionOfView(TensorId of, TensorId view) const {
  const int64_t step = in_.tensor(of).strides[static_cast<size_t>(RowDimensionOf(of))];
  const ir::Tensor& tensor = in_.tensor(view);
  for (size_t d = 0; d < tensor.shape.size(); ++d) {
    if (tensor.shape[d] > 1 && tensor.strides[d] <= step && step < tensor.strides[d] * tensor.shape[d]) return static_cast<int64_t>(d);
  }
  return -1;
}

Status TileDecisions::SplitInputs() {
  for (const auto& [name, tensor] : in_.inputs) {
    const ir::Tensor& input = in_.tensor(tensor);
    if (in_.storage(input.storage).role != ir::StorageRole::kInput || input.shape.empty()) continue;
    const int64_t rows = input.shape[one_sequence_ && input.shape.size() > 1 ? 1 : 0];
    if (rows % tiles_ != 0) {
      return InvalidError(fmt::format(
          "error: tile: input '{}' has {} {}, which {} tiles do not divide\n  fix: a {} that is a multiple of {}, or fewer "
          "tiles",
          name, rows, one_sequence_ ? "positions" : "sequences", tiles_, one_sequence_ ? "sequence_length" : "micro_batch", tiles_));
    }
    parts_[input.storage.index()] = Part::kSplit;
    for (size_t d = 0, count = 1; d < input.shape.size(); ++d) {
      count *= static_cast<size_t>(input.shape[d]);
      if (!one_sequence_ || count > 1) row_counts_.insert(static_cast<int64_t>(count));
    }
  }
  for (const ir::Op& op : in_.ops) {
    if (one_sequence_ && HasQueryTiles(op)) row_counts_.insert(in_.tensor(ir::TensorArguments(op)[0]).shape[2]);
  }
  const bool receives = std::ranges::any_of(in_.ops, [](const ir::Op& op) { return op.target == "c10d.recv"; });
  if (row_counts_.empty() && !receives) return InvalidError("error: tile: the program has no input whose batch could be split");
  FindRowNumbers();
  return OkStatus();
}

// Tables of the positions of this rank's rows: ones, summed up, plus the number of the rank's first row, modulo the length of a sequence.
// In a tile of whole sequences, of which the rank has 1/K as many rows, the first row has 1/K of that number, and every tile's table is the
// same. Of one sequence each tile has a table of its own, which begins behind the tiles before.
void TileDecisions::FindRowNumbers() {
  for (size_t i = 0; i < in_.ops.size(); ++i) {
    if (!NumbersRows(OpId(i))) continue;
    const TensorId numbers = ir::TensorArguments(in_.ops[i])[0];
    const OpId counts = in_.tensor(numbers).producer;
    const TensorId ones = ir::TensorArguments(in_.op(counts))[0];
    for (const TensorId table : {numbers, ones}) SetPart(table, one_sequence_ ? Part::kRows : Part::kAlike);
    if (one_sequence_) counts_rows_.insert({counts, in_.tensor(ones).producer});
    first_rows_.insert(OpId(i));
  }
}

bool TileDecisions::NumbersRows(OpId id) const {
  const ir::Op& add = in_.op(id);
  const auto* first = add.target == "aten.add_.Scalar" ? std::get_if<ir::RankExpression>(&add.arguments[1]) : nullptr;
  if (first == nullptr || first->terms.size() != 1 || row_counts_.empty()) return false;
  const ir::Tensor& numbers = in_.tensor(ir::TensorArguments(add)[0]);
  const int64_t tokens = *row_counts_.rbegin(), rows = first->terms[0].coefficient;
  if (numbers.shape != ir::Shape{rows} || TokensOf(*first) != tokens || rows % tiles_ != 0) return false;
  const auto made_by = [&](TensorId tensor, std::string_view target) {
    return in_.tensor(tensor).producer.valid() && in_.op(in_.tensor(tensor).producer).target == target;
  };
  const TensorId summed = ir::TensorArguments(add)[0];
  if (!made_by(summed, "aten.cumsum")) return false;
  if (!made_by(ir::TensorArguments(in_.op(in_.tensor(summed).producer))[0], "aten.new_ones")) return false;
  return std::ranges::any_of(in_.ops, [&](const ir::Op& op) {
    const auto* period = op.target == "aten.remainder_.Scalar" ? std::get_if<int64_t>(&op.arguments[1]) : nullptr;
    return period != nullptr && ir::TensorArguments(op)[0] == add.results[0] && (one_sequence_ ? tokens : tokens / tiles_) % *period == 0;
  });
}

// Of all ranks together, where each has as many as the coefficient says. 0: there is no such dimension.
int64_t TileDecisions::TokensOf(const ir::RankExpression& first) const {
  const auto dimension = std::ranges::find(in_.mesh, first.terms[0].dimension, &ir::MeshDimension::name);
  return dimension == in_.mesh.end() ? 0 : first.terms[0].coefficient * dimension->size;
}

ir::RankExpression TileDecisions::FirstRow(OpId id, int64_t tile) const {
  ir::RankExpression first = std::get<ir::RankExpression>(in_.op(id).arguments[1]);
  if (one_sequence_) first.constant += tile * TokensOf(first) / tiles_;
  first.terms[0].coefficient /= tiles_;
  return first;
}

// Of whole tensors and of ones that are alike in all tiles.
Result<Fate> TileDecisions::DecideAlike(OpId id) {
  const ir::Op& op = in_.op(id);
  const TileRule rule = RuleOf(op.target);
  const bool by_row = op.kind == ir::OpKind::kView || rule == TileRule::kRows || rule == TileRule::kElements || rule == TileRule::kLinear;
  if (!by_row && !first_rows_.contains(id) && op.target != "aten.cumsum") return Refuse(id, "needs a number for each row of this rank");
  for (const TensorId result : op.results) SetPart(result, Part::kAlike);
  return Fate::kOnce;
}

std::vector<TensorId> TileDecisions::Others(const ir::Op& op, const std::vector<TensorId>& written) const {
  std::vector<TensorId> others = ir::TensorArguments(op);
  std::erase_if(others, [&](TensorId id) { return std::ranges::any_of(written, [&](TensorId w) { return SameStorage(w, id); }); });
  return others;
}

Status TileDecisions::Refuse(OpId id, const std::string& why) const {
  return InvalidError(fmt::format("error: tile: {}: {}", ir::Describe(in_, id), why));
}

Result<Fate> TileDecisions::Decide(OpId id) {
  HELM_ASSIGN_OR_RETURN(const Fate fate, DecideFate(id));
  each_tile_[id.index()] = fate == Fate::kEachTile;
  return fate;
}

Result<Fate> TileDecisions::DecideFate(OpId id) {
  const ir::Op& op = in_.op(id);
  if (counts_rows_.contains(id)) return CheckRows(id);
  if (op.kind == ir::OpKind::kWait) return each_tile_[ir::StartOf(op).index()] ? Fate::kEachTile : Fate::kOnce;
  const std::vector<TensorId> arguments = ir::TensorArguments(op);
  const bool rows = std::ranges::any_of(arguments, [&](TensorId t) { return HasRows(t); });
  const bool own = std::ranges::any_of(arguments, [&](TensorId t) { return PartOf(t) == Part::kOwn; });
  const bool alike = std::ranges::any_of(arguments, [&](TensorId t) { return PartOf(t) == Part::kAlike; });
  if (!rows && !own) return alike ? DecideAlike(id) : Fate::kOnce;
  if (op.kind == ir::OpKind::kView) return DecideView(id);
  FollowInner(op);
  if (op.kind == ir::OpKind::kCollectiveStart) return DecideCollective(id, own);
  return own && !rows ? DecideOwn(id) : DecideRows(id);
}

Result<Fate> TileDecisions::DecideView(OpId id) {
  const ir::Op& op = in_.op(id);
  if (op.target == "aten.slice.Tensor" && HasRows(op.results[0])) {
    const TensorId from = ir::TensorArguments(op)[0];
    const auto* dimension = std::get_if<int64_t>(&op.arguments[1]);
    if (dimension == nullptr || *dimension == RowDimensionOf(from)) return Refuse(id, "takes some of the rows");
  }
  return CheckRows(id);
}

// That the rows of every result with rows can be divided.
Result<Fate> TileDecisions::CheckRows(OpId id) const {
  for (const TensorId result : in_.op(id).results) {
    if (!result.valid() || !HasRows(result)) continue;
    const ir::Tensor& tensor = in_.tensor(result);
    const int64_t d = RowDimensionOf(result);
    if (d < 0 || tensor.shape[static_cast<size_t>(d)] % tiles_ != 0) {
      return Refuse(id, fmt::format("the rows of its result '{}' are not a multiple of {}", tensor.name, tiles_));
    }
  }
  return Fate::kEachTile;
}

Result<Fate> TileDecisions::DecideCollective(OpId id, bool own) {
  const ir::Op& op = in_.op(id);
  if (ir::IsPointToPoint(op) || own) return Fate::kOnce;  // of all rows, or of the sum
  const TensorId from = ir::TensorArguments(op)[0];
  // To the ranks of the experts go the slots of each; rows would come in another order.
  const bool slots = op.target == "c10d.all_to_all" && IsInner(from);
  if (!slots && op.target != "c10d.all_gather" && op.target != "c10d.reduce_scatter" && op.target != "c10d.all_reduce") {
    return Refuse(id, "there is no rule for it");
  }
  if (op.target != "c10d.all_reduce" && RowDimensionOf(from) != 0) return Refuse(id, "moves another dimension than the rows");
  if (ir::TensorArguments(op).size() > 1) return Refuse(id, "gathers into a tensor of its own");
  for (const TensorId result : op.results) {
    if (!SameStorage(result, from)) SetPart(result, Part::kRows);
  }
  return CheckRows(id);
}

// Where the results of an op have the slots of experts, or rows inside another dimension, that its arguments have.
void TileDecisions::FollowInner(const ir::Op& op) {
  const int64_t dimension = InnerOfResults(op);
  for (const TensorId result : op.results) {
    if (dimension >= 0 && result.valid()) row_dimensions_[result] = dimension;
  }
}

// -1: they have none.
int64_t TileDecisions::InnerOfResults(const ir::Op& op) const {
  const std::vector<TensorId> arguments = ir::TensorArguments(op);
  const TensorId first = arguments[0];
  const std::string name = ir::BaseName(op.target);
  const auto rank = [&](TensorId id) { return static_cast<int64_t>(in_.tensor(id).shape.size()); };
  // Rows that become slots: so many of them for each expert, and row numbers in them.
  if (name == "topk") return IsInner(first) || RowDimensionOf(first) + 1 == rank(first) ? RowDimensionOf(first) : -1;
  if (name == "index_select") return IsInner(arguments[1]) ? std::get<int64_t>(op.arguments[1]) : -1;
  if (name == "index_add" || name == "scatter" || name == "scatter_add") return IsInner(first) ? RowDimensionOf(first) : -1;
  if (name == "gather" || RuleOf(op.target) == TileRule::kFactory || IsAttention(op.target)) return -1;
  const auto inner = std::ranges::find_if(arguments, [&](TensorId id) { return IsInner(id); });
  if (inner == arguments.end()) return -1;
  if (name == "sum") {
    const auto* keep = op.arguments.size() > 2 ? std::get_if<bool>(&op.arguments[2]) : nullptr;
    const auto* over = op.arguments.size() > 1 ? std::get_if<std::vector<int64_t>>(&op.arguments[1]) : nullptr;
    if (ReducesRows(op) || over == nullptr) return -1;
    const int64_t rows = RowDimensionOf(first);
    const auto before = std::ranges::count_if(*over, [&](int64_t d) { return (d < 0 ? d + rank(first) : d) < rows; });
    return keep != nullptr && *keep ? rows : rows - before;
  }
  if (RuleOf(op.target) == TileRule::kProduct) {
    const bool rows = *inner == first && RowDimensionOf(first) + 1 < rank(first);
    return rows ? RowDimensionOf(first) : -1;  // over the rows it is a sum
  }
  return rank(op.results[0]) - (rank(*inner) - RowDimensionOf(*inner));
}

// Only sums and numbers of the tiles' own among the arguments, no rows.
Result<Fate> TileDecisions::DecideOwn(OpId id) {
  const ir::Op& op = in_.op(id);
  const std::vector<TensorId> written = ir::WrittenTensors(in_, op), others = Others(op, written);
  const TileRule rule = RuleOf(op.target);
  const bool into_whole = !written.empty() && PartOf(written[0]) == Part::kWhole;
  const std::string name = ir::BaseName(op.target);
  if (into_whole && (name == "copy" || name == "add") && others.size() == 1) return Fate::kAccumulate;
  const auto owned = std::ranges::count_if(ir::TensorArguments(op), [&](TensorId t) { return PartOf(t) == Part::kOwn; });
  const auto all = static_cast<std::ptrdiff_t>(ir::TensorArguments(op).size());
  const bool sums = name == "add" || name == "sub";
  const bool scalar = op.target.ends_with(".Scalar");
  const bool linear = rule == TileRule::kLinear && (sums ? owned == all && !scalar : owned == 1 && IsFirst(op));
  if (!linear && !(rule == TileRule::kCopy && owned == all)) return Fate::kOnce;  // of the sum
  for (const TensorId result : op.results) SetPart(result, Part::kOwn);
  return Fate::kEachTile;
}

Result<Fate> TileDecisions::DecideRows(OpId id) {
  const ir::Op& op = in_.op(id);
  if (IsAttention(op.target)) return DecideAttention(id);
  switch (RuleOf(op.target)) {
    case TileRule::kElements:
    case TileRule::kLinear:
    case TileRule::kCopy:
      return DecideElements(id);
    case TileRule::kRows:
      if (IsFirst(op)) return ResultsAre(id, Part::kOwn, Part::kOwn);  // counts
      return ResultsAre(id, Part::kRows, Part::kRows);
    case TileRule::kReduction:
      return ReducesRows(op) ? ResultsAre(id, Part::kOwn, Part::kOwn) : ResultsAre(id, Part::kRows, Part::kRows);
    case TileRule::kScan:
      if (ReducesRows(op)) return Refuse(id, "goes over the rows, and of parts of them its result cannot be put together");
      if (std::ranges::any_of(ir::TensorArguments(op), [&](TensorId t) { return !HasRows(t); })) {
        return Refuse(id, "puts together what has rows of the batch and what has none");
      }
      return ResultsAre(id, Part::kRows, Part::kRows);
    case TileRule::kProduct:
      return DecideProduct(id);
    case TileRule::kRowsAndSums:
      return ResultsAre(id, Part::kRows, Part::kOwn);
    case TileRule::kSums:
      return ResultsAre(id, Part::kOwn, Part::kOwn);
    case TileRule::kFactory:
      return DecideFactory(id);
    case TileRule::kUnknown:
      break;
  }
  return Refuse(id, "there is no rule for it on part of the batch");
}

// Of whole sequences a tile's attention is its own; of one sequence that of its queries.
Result<Fate> TileDecisions::DecideAttention(OpId id) {
  const ir::Op& op = in_.op(id);
  if (!one_sequence_) {
    if (RowDimensionOf(ir::TensorArguments(op)[0]) != 0) return Refuse(id, "its batch is not what tiles split");
    return ResultsAre(id, Part::kRows, Part::kRows);
  }
  if (!HasQueryTiles(op)) return Refuse(id, "of one sequence only causal flash attention can be split, by its queries");
  const bool backward = IsAttentionBackward(op);
  for (size_t i = 0; i < op.results.size(); ++i) {
    if (!op.results[i].valid()) continue;
    SetPart(op.results[i], backward && i > 0 ? Part::kPrefix : Part::kRows);
    if (!backward && i == 1) row_dimensions_[op.results[i]] = 2;  // logarithms of sums, [sequences, heads, positions]
  }
  HELM_RETURN_IF_ERROR(CheckRows(id).status());
  return Fate::kQueryTiles;
}

// The parts of new results; of ones that an argument held already they must be the same, but sums go into a whole one.
Result<Fate> TileDecisions::ResultsAre(OpId id, Part first, Part rest) {
  const ir::Op& op = in_.op(id);
  const std::vector<TensorId> written = ir::WrittenTensors(in_, op);
  for (size_t i = 0; i < op.results.size(); ++i) {
    const TensorId result = op.results[i];
    if (!result.valid()) continue;
    const bool number = ir::ElementCount(in_.tensor(result).shape) == 1;
    const Part part = (i == 0 ? first : rest) == Part::kRows && number ? Part::kOwn : (i == 0 ? first : rest);
    if (std::ranges::find(written, result) == written.end()) {
      SetPart(result, part);
    } else if (part == Part::kOwn && PartOf(result) == Part::kWhole) {
      return Fate::kAccumulate;
    } else if (part == Part::kRows ? !HasRows(result) : PartOf(result) != part) {
      return Refuse(id, fmt::format("writes rows of one tile into '{}', which all share", in_.tensor(result).name));
    }
  }
  return CheckRows(id);
}

// The dimensions that a reduction names hold that of the rows. None named: all.
bool TileDecisions::ReducesRows(const ir::Op& op) const {
  const TensorId from = ir::TensorArguments(op)[0];
  const int64_t rank = static_cast<int64_t>(in_.tensor(from).shape.size()), rows = RowDimensionOf(from);
  const auto is_rows = [&](int64_t d) { return (d < 0 ? d + rank : d) == rows; };
  if (op.arguments.size() < 2) return true;
  if (const auto* one = std::get_if<int64_t>(&op.arguments[1])) return is_rows(*one);
  const auto* list = std::get_if<std::vector<int64_t>>(&op.arguments[1]);
  return list == nullptr || list->empty() || std::ranges::any_of(*list, is_rows);
}

Result<Fate> TileDecisions::DecideElements(OpId id) {
  const ir::Op& op = in_.op(id);
  HELM_ASSIGN_OR_RETURN(const Fate fate, ResultsAre(id, Part::kRows, Part::kRows));
  const TensorId result = op.results[0];
  const int64_t from_right = static_cast<int64_t>(in_.tensor(result).shape.size()) - RowDimensionOf(result);
  for (const TensorId argument : ir::TensorArguments(op)) {
    const ir::Tensor& tensor = in_.tensor(argument);
    const int64_t d = static_cast<int64_t>(tensor.shape.size()) - from_right;  // the dimension that lies over the result's rows
    if (HasRows(argument) || PartOf(argument) == Part::kAlike) {
      if (RowDimensionOf(argument) != d) return Refuse(id, fmt::format("the rows of '{}' are not those of its result", tensor.name));
    } else if (PartOf(argument) == Part::kOwn) {
      HELM_RETURN_IF_ERROR(NeedSum(id, argument));
    } else if (d >= 0 && tensor.shape[static_cast<size_t>(d)] != 1) {
      HELM_RETURN_IF_ERROR(NeedRows(id, argument));
    }
  }
  return fate;
}

// A whole tensor of which each tile reads its rows: a table with one for each token.
Status TileDecisions::NeedRows(OpId id, TensorId argument) {
  const ir::Tensor& tensor = in_.tensor(argument);
  const int64_t d = RowDimensionOf(argument);
  const int64_t rows = d < 0 ? 0 : tensor.shape[static_cast<size_t>(d)];
  if (!row_counts_.contains(rows) || rows % tiles_ != 0) {
    return Refuse(id,
                  fmt::format("reads '{}', which has a number for each row of this rank, and the rows of a tile are others", tensor.name));
  }
  sliced_.insert({id, argument});
  return OkStatus();
}

Result<Fate> TileDecisions::DecideProduct(OpId id) {
  const ir::Op& op = in_.op(id);
  const std::string name = ir::BaseName(op.target);
  const std::vector<TensorId> arguments = ir::TensorArguments(op);
  const size_t first = name == "addmm" || name == "baddbmm" ? 1 : 0;
  const TensorId a = arguments[first], b = arguments[first + 1];
  const int64_t inner_a = static_cast<int64_t>(in_.tensor(a).shape.size()) - 1;
  const int64_t inner_b = static_cast<int64_t>(in_.tensor(b).shape.size()) - 2;
  const int64_t rows_a = HasRows(a) ? RowDimensionOf(a) : -1, rows_b = HasRows(b) ? RowDimensionOf(b) : -1;
  if (rows_a == inner_a && rows_b == inner_b) return ResultsAre(id, Part::kOwn, Part::kOwn);
  const bool batched = rows_a >= 0 && rows_a == rows_b && rows_a < inner_b;
  const bool left = rows_a >= 0 && rows_a < inner_a && rows_b < 0;
  if (batched || left) return ResultsAre(id, Part::kRows, Part::kRows);
  return Refuse(id, "the rows of the batch are no rows of the product");
}

Status TileDecisions::NeedSum(OpId id, TensorId argument) {
  if (copies_.contains(in_.tensor(argument).storage) || in_.op(id).region >= 0) {
    return Refuse(id, fmt::format("reads '{}', of which each tile has a part only", in_.tensor(argument).name));
  }
  summed_.insert({id, argument});
  return OkStatus();
}

// Of an input all tiles share it: tables are made like one. Of an activation it is one itself where its rows can be divided.
Result<Fate> TileDecisions::DecideFactory(OpId id) {
  const ir::Op& op = in_.op(id);
  const TensorId like = ir::TensorArguments(op)[0], made = op.results[0];
  if (PartOf(like) == Part::kSplit && !IsJoined(like)) return Fate::kOnce;
  const int64_t rows = RowsOfFactory(op);
  if (rows == kNoRows) return ResultsAre(id, Part::kOwn, Part::kOwn);
  const ir::Tensor& result = in_.tensor(made);
  if (rows < 0 || result.shape[static_cast<size_t>(rows)] % tiles_ != 0) {
    return Refuse(id, "it is not clear whether what it makes has rows of the batch");
  }
  if (rows != RowDimension(result)) row_dimensions_[made] = rows;
  return ResultsAre(id, Part::kRows, Part::kRows);
}

// The dimension with the rows of a new tensor, by what is written into it, or as in the tensor that it is like; kUnclear, kNoRows.
int64_t TileDecisions::RowsOfFactory(const ir::Op& op) const {
  const TensorId like = ir::TensorArguments(op)[0], made = op.results[0];
  const ir::Tensor& result = in_.tensor(made);
  const auto begin = in_.ops.begin() + static_cast<std::ptrdiff_t>(result.producer.index()) + 1;
  const auto writer = std::find_if(begin, in_.ops.end(), [&](const ir::Op& other) {
    const std::vector<TensorId> arguments = ir::TensorArguments(other);
    return other.kind == ir::OpKind::kCompute && !arguments.empty() && arguments[0] == made;
  });
  if (writer != in_.ops.end()) {
    if (const int64_t rows = RowsByWriter(*writer, made); rows != kUnclear) return rows;
  }
  const ir::Shape& of_like = in_.tensor(like).shape;
  const int64_t same = RowDimensionOf(like);
  if (of_like.size() == result.shape.size() && same >= 0) {
    const auto d = static_cast<size_t>(same);
    if (of_like[d] == result.shape[d]) return same;
  }
  const int64_t outermost = RowDimension(result);
  const bool known = outermost == 0 || (outermost > 0 && row_counts_.contains(result.shape[static_cast<size_t>(outermost)]));
  return known && !IsInner(like) ? outermost : kUnclear;
}

int64_t TileDecisions::RowsByWriter(const ir::Op& writer, TensorId made) const {
  const std::string name = ir::BaseName(writer.target);
  const std::vector<TensorId> arguments = ir::TensorArguments(writer);
  if (name == "index_add") return std::get<int64_t>(writer.arguments[1]);
  if (name == "scatter" || name == "scatter_add") {
    const TensorId index = arguments[1];
    if (!HasRows(index)) return kUnclear;
    // Along the rows an index of slots says which row; of rows it says something else, and what is written are sums over them.
    const bool along = RowDimensionOf(index) == std::get<int64_t>(writer.arguments[1]);
    return along && !IsInner(index) ? kNoRows : RowDimensionOf(index);
  }
  const bool copied = name == "copy" && in_.tensor(arguments[1]).shape.size() == in_.tensor(made).shape.size();
  return copied && IsInner(arguments[1]) ? RowDimensionOf(arguments[1]) : kUnclear;
}

}  // namespace helm::schedule
