// The reader of the text form of programs (docs/formats/program.md).
//
// Names may be used before they are declared: a name gets a provisional id at its first mention, and the final one, its place among the
// declarations, when all statements are read.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <set>

#include "core/diagnostics.h"
#include "core/text.h"
#include "ir/name_table.h"
#include "ir/program_text.h"
#include "ir/text_values.h"
#include "ir/text_words.h"

namespace helm::ir {
namespace {

class ProgramParser {
 public:
  ProgramParser(std::string_view text, std::string_view file) : text_(text), file_(file), scanner_(text) {}

  Result<Program> Parse() {
    SkipEmptyLines();
    if (!scanner_.TryWord("helm-program") || !scanner_.TryPunctuation("/1")) {
      scanner_.Expected("'helm-program/1', the only version that this HELM reads");
      return InvalidError(LocatedMessage(text_, file_, scanner_.error()));
    }
    for (FinishStatement(); !scanner_.AtEnd(); FinishStatement()) ParseStatement();
    Resolve();
    if (!diagnostics_.ok()) return diagnostics_.ToStatus();
    return std::move(program_);
  }

 private:
  // ---- statements ----

  void SkipEmptyLines() {
    while (!scanner_.AtEnd() && scanner_.AtEndOfLine()) scanner_.NextLine();
  }

  void FinishStatement() {
    if (!scanner_.failed() && !scanner_.AtEndOfLine()) scanner_.Expected("the end of the line");
    if (scanner_.failed()) Report(scanner_.error());
    scanner_.NextLine();
    SkipEmptyLines();
  }

  void Report(const TextError& error) {
    if (source_ == nullptr) source_ = std::make_shared<const SourceText>(std::string(file_), text_);
    diagnostics_.Error(LocationOfOffset(source_, text_, error.position.offset), error.message);
  }

  bool ParseStatement() {
    if (scanner_.TryWord("program")) return ParseProgramLine();
    if (scanner_.TryWord("mesh")) return ParseMesh();
    if (scanner_.TryWord("group")) return ParseGroup();
    if (scanner_.TryWord("schedule")) return ParseScheduleLine();
    if (scanner_.TryWord("storage")) return ParseStorage();
    if (scanner_.TryWord("segment")) return ParseSegment();
    if (scanner_.TryWord("piece")) return ParsePiece();
    if (scanner_.TryWord("tensor")) return ParseTensorLine();
    if (scanner_.TryWord("input")) return ParsePort(program_.inputs, "input");
    if (scanner_.TryWord("output")) return ParsePort(program_.outputs, "output");
    if (scanner_.TryWord("order")) return ParseOrder();
    return ParseOp();
  }

  // `key=`, if it comes next.
  bool TryKey(std::string_view key) { return scanner_.TryWord(key) && scanner_.Punctuation("="); }

  bool ParseBool(bool& value) {
    value = scanner_.PeekWord() == "true";
    return scanner_.TryWord("true") || scanner_.TryWord("false") || scanner_.Expected("true or false");
  }

  bool ParseInt32(std::string_view what, int32_t& value) {
    const TextPosition at = scanner_.position();
    int64_t wide = 0;
    if (!scanner_.Integer(what, wide)) return false;
    value = static_cast<int32_t>(wide);
    return value == wide || scanner_.Fail(at, fmt::format("{} does not fit 32 bits", what));
  }

  bool ParseProgramLine() {
    const TextPosition at = scanner_.position();
    if (seen_program_) return scanner_.Fail(at, "a second 'program' statement");
    seen_program_ = true;
    if (!scanner_.Name("the name of the program", program_.name)) return false;
    if (!TryKey("device")) return scanner_.Expected("'device='");
    return ParseEnum(scanner_, "a device", kDevices, program_.device);
  }

  bool ParseMesh() {
    const TextPosition at = scanner_.position();
    if (!program_.mesh.empty()) return scanner_.Fail(at, "a second 'mesh' statement");
    int64_t world = 1;
    while (!scanner_.failed() && !scanner_.AtEndOfLine()) {
      MeshDimension& dimension = program_.mesh.emplace_back();
      if (!scanner_.Name("the name of a mesh dimension", dimension.name) || !scanner_.Punctuation("=")) return false;
      if (!ParseSize(scanner_, "the size of a mesh dimension", dimension.size)) return false;
      constexpr int64_t kRanksMost = int64_t{1} << 20;
      if (dimension.size < 0 || dimension.size > kRanksMost || (world *= std::max<int64_t>(dimension.size, 1)) > kRanksMost) {
        return scanner_.Fail(at, "the mesh has a negative size or more than 2^20 ranks");
      }
    }
    return !scanner_.failed();
  }

  // What follows an opening bracket.
  bool ParseDimensions(std::vector<std::string>& dimensions) {
    while (!scanner_.TryPunctuation("]")) {
      if (!dimensions.empty() && !scanner_.Punctuation(",")) return false;
      if (!scanner_.Name("the name of a mesh dimension", dimensions.emplace_back())) return false;
    }
    return true;
  }

  // One dimension, or several in brackets.
  bool ParseSharding(std::vector<std::string>& dimensions) {
    if (scanner_.TryPunctuation("[")) return ParseDimensions(dimensions);
    return scanner_.Name("the name of a mesh dimension", dimensions.emplace_back());
  }

  bool ParseGroup() {
    Group group;
    const TextPosition at = scanner_.position();
    if (!scanner_.Name("the name of a group", group.name) || !scanner_.Punctuation("=") || !scanner_.Punctuation("[")) return false;
    if (!ParseDimensions(group.dimensions)) return false;
    if (scanner_.TryWord("at") && !ParseSizes(scanner_, "a mesh coordinate", group.coordinates)) return false;
    if (!groups_.Declare(groups_.Mention(group.name, at)))
      return scanner_.Fail(at, fmt::format("group '{}' is declared twice", group.name));
    program_.groups.push_back(std::move(group));
    return true;
  }

  bool ParseScheduleLine() {
    const TextPosition at = scanner_.position();
    if (!program_.schedule.empty()) return scanner_.Fail(at, "a second 'schedule' statement");
    std::string row;
    if (!scanner_.QuotedString("the actions in quotes, such as \"0F0,0B0\"", row)) return false;
    Result<Schedule> schedule = ParseSchedule(row);
    if (!schedule.ok()) return scanner_.Fail(at, schedule.status().message());
    program_.schedule = std::move(schedule).value();
    return true;
  }

  bool ParseStorage() {
    Storage storage;
    int64_t bytes = 0;
    const TextPosition at = scanner_.position();
    if (!scanner_.Name("the name of a storage", storage.name) || !scanner_.Punctuation(":") || !ParseBytes(bytes)) return false;
    if (!ParseEnum(scanner_, "a role", kRoles, storage.role)) return false;
    storage.bytes = Bytes(bytes);
    storage.persistent = scanner_.TryWord("persistent");
    return DeclareStorage(std::move(storage), at);
  }

  bool ParseBytes(int64_t& bytes) {
    return scanner_.Integer("the size of a storage", bytes) && (scanner_.TryWord("bytes") || scanner_.Expected("'bytes'"));
  }

  bool DeclareStorage(Storage storage, TextPosition at) {
    if (!storages_.Declare(storages_.Mention(storage.name, at)))
      return scanner_.Fail(at, fmt::format("storage @{} is declared twice", storage.name));
    program_.storages.push_back(std::move(storage));
    return true;
  }

  bool ParseSegment() {
    ParameterSegment& segment = program_.segments.emplace_back();
    if (!scanner_.Name("the name of a segment", segment.name)) return false;
    std::set<std::string, std::less<>> seen;
    while (!scanner_.failed() && !scanner_.AtEndOfLine()) {
      if (!OnlyOnce(seen) || !ParseSegmentField(segment)) return false;
    }
    return true;
  }

  // Of the `key=value` pairs of one statement, each comes once.
  bool OnlyOnce(std::set<std::string, std::less<>>& seen) {
    const std::string key(scanner_.PeekWord());
    return key.empty() || seen.insert(key).second || scanner_.Fail(scanner_.position(), fmt::format("'{}' is given twice", key));
  }

  bool ParseSegmentField(ParameterSegment& segment) {
    if (TryKey("elements")) return ParseSize(scanner_, "a number of elements", segment.elements);
    if (TryKey("weight_decay")) return ParseBool(segment.weight_decay);
    if (TryKey("tensor_replicated")) return ParseBool(segment.tensor_replicated);
    if (TryKey("sharded_over")) return ParseSharding(segment.sharded_over);
    if (TryKey("gradient_sharded")) return ParseBool(segment.gradient_sharded);
    if (TryKey("gradient_offset")) return ParseSize(scanner_, "a number of elements", segment.gradient_offset);
    if (TryKey("parameter")) return ParseStorageName(segment.parameter);
    if (TryKey("gradient")) return ParseStorageName(segment.gradient);
    if (TryKey("master")) return ParseStorageName(segment.master);
    if (TryKey("moment_first")) return ParseStorageName(segment.moment_first);
    if (TryKey("moment_second")) return ParseStorageName(segment.moment_second);
    return scanner_.Expected(
        "elements, weight_decay, tensor_replicated, sharded_over, gradient_sharded, parameter, gradient, gradient_offset, master, "
        "moment_first or moment_second");
  }

  bool ParsePiece() {
    const TextPosition at = scanner_.position();
    if (program_.segments.empty()) return scanner_.Fail(at, "a 'piece' before the first 'segment'");
    ParameterPiece& piece = program_.segments.back().pieces.emplace_back();
    if (!scanner_.Name("the name of a parameter", piece.name)) return false;
    std::set<std::string, std::less<>> seen;
    while (!scanner_.failed() && !scanner_.AtEndOfLine()) {
      if (!OnlyOnce(seen) || !ParsePieceField(piece)) return false;
    }
    return CheckShape(scanner_, at, piece.box_shape, {}) && CheckShape(scanner_, at, piece.global_shape, {});
  }

  bool ParsePieceField(ParameterPiece& piece) {
    if (TryKey("offset")) return ParseSize(scanner_, "a number of elements", piece.offset);
    if (TryKey("global_shape")) return ParseSizes(scanner_, "a size", piece.global_shape);
    if (TryKey("box_shape")) return ParseSizes(scanner_, "a size", piece.box_shape);
    if (TryKey("box_offset")) return ParseExpressions(piece.box_offset);
    if (TryKey("transposed")) return ParseBool(piece.transposed);
    if (TryKey("initialization")) return ParseEnum(scanner_, "an initialization", kInitializations, piece.initialization);
    if (TryKey("standard_deviation")) return scanner_.Double("a number", piece.standard_deviation);
    return scanner_.Expected("offset, global_shape, box_offset, box_shape, transposed, initialization or standard_deviation");
  }

  bool ParseExpressions(std::vector<RankExpression>& expressions) {
    if (!scanner_.Punctuation("[")) return false;
    while (!scanner_.TryPunctuation("]")) {
      if (!expressions.empty() && !scanner_.Punctuation(",")) return false;
      if (!ParseRankExpression(scanner_, expressions.emplace_back())) return false;
    }
    return true;
  }

  bool ParseTensorLine() {
    Tensor tensor;
    const TextPosition at = scanner_.position();
    if (!ParseTensorName(tensor.name) || !scanner_.Punctuation(":") || !ParseTypeOf(tensor)) return false;
    if (!scanner_.PeekPunctuation("@")) return scanner_.Expected("'@' and the name of the storage that the tensor lies on");
    if (!ParsePlace(tensor)) return false;
    OpId producer;
    if (TryKey("producer") && !ParseOpNumber(producer)) return false;
    if (producer.valid()) marked_producers_.emplace_back(program_.tensors.size(), producer);
    return DeclareTensor(std::move(tensor), at).valid();
  }

  bool ParseTensorName(std::string& name) { return scanner_.Punctuation("%") && scanner_.Name("the name of a tensor", name); }

  bool ParseTypeOf(Tensor& tensor) {
    TensorType type;
    if (!ParseType(scanner_, type)) return false;
    tensor.dtype = type.dtype;
    tensor.shape = std::move(type.shape);
    tensor.strides = std::move(type.strides);
    return true;
  }

  bool ParsePlace(Tensor& tensor) {
    if (!ParseStorageName(tensor.storage)) return false;
    return !scanner_.TryPunctuation("+") || ParseSize(scanner_, "the offset of the tensor", tensor.offset);
  }

  bool ParseStorageName(StorageId& storage) {
    const TextPosition at = scanner_.position();
    std::string name;
    if (!scanner_.Punctuation("@") || !scanner_.Name("the name of a storage", name)) return false;
    storage = storages_.Mention(name, at);
    return true;
  }

  TensorId DeclareTensor(Tensor tensor, TextPosition at) {
    const TensorId id = tensors_.Mention(tensor.name, at);
    if (!tensors_.Declare(id)) {
      scanner_.Fail(at, fmt::format("tensor %{} is declared twice", tensor.name));
      return TensorId();
    }
    program_.tensors.push_back(std::move(tensor));
    return id;
  }

  bool ParsePort(std::map<std::string, TensorId>& ports, std::string_view what) {
    const TextPosition at = scanner_.position();
    std::string name;
    TensorId tensor;
    if (!scanner_.Name(fmt::format("the name of an {}", what), name) || !scanner_.Punctuation("=") || !ParseTensorUse(tensor)) return false;
    return ports.emplace(name, tensor).second || scanner_.Fail(at, fmt::format("{} '{}' is given twice", what, name));
  }

  bool ParseTensorUse(TensorId& tensor) {
    const TextPosition at = scanner_.position();
    std::string name;
    if (!ParseTensorName(name)) return false;
    tensor = tensors_.Mention(name, at);
    return true;
  }

  bool ParseOrder() {
    const TextPosition at = scanner_.position();
    const bool of_tensors = scanner_.TryWord("tensors");
    if (!of_tensors && !scanner_.TryWord("storages")) return scanner_.Expected("'tensors' or 'storages'");
    std::optional<NumberList>& order = of_tensors ? tensor_order_ : storage_order_;
    if (order) return scanner_.Fail(at, "a second 'order' statement of this kind");
    order = NumberList{{}, at};
    if (!scanner_.Punctuation("[")) return false;
    while (!scanner_.TryPunctuation("]")) {
      if (!order->numbers.empty() && !scanner_.Punctuation(",")) return false;
      if (!ParseRun(order->numbers)) return false;
    }
    return true;
  }

  bool ParseRun(std::vector<int32_t>& numbers) {
    const TextPosition at = scanner_.position();
    int32_t first = 0;
    if (!ParseInt32("a number", first)) return false;
    int32_t last = first;
    if (scanner_.TryPunctuation("-") && !ParseInt32("a number", last)) return false;
    if (first < 0 || last < first || static_cast<size_t>(last) > text_.size()) return scanner_.Fail(at, "no run of numbers");
    for (int32_t number = first; number <= last; ++number) numbers.push_back(number);
    return numbers.size() <= text_.size() || scanner_.Fail(at, "more numbers than there are declarations");
  }

  // ---- ops ----

  bool ParseOp() {
    const OpId id(program_.ops.size());
    Op op;
    if (scanner_.PeekPunctuation("#") && !ParseOwnNumber(id)) return false;
    std::vector<FreshResult> fresh;
    if ((scanner_.PeekPunctuation("%") || scanner_.PeekWord() == "_") && !ParseResults(op, fresh)) return false;
    if (scanner_.PeekWord().empty()) return scanner_.Expected(program_.ops.empty() ? "a statement" : "an op or another statement");
    if (!ParseTarget(op) || !ParseArguments(op) || !ParseAttributes(op)) return false;
    for (FreshResult& result : fresh) {
      if (!DeclareResult(op, id, std::move(result))) return false;
    }
    program_.ops.push_back(std::move(op));
    return true;
  }

  struct FreshResult {
    Tensor tensor;
    TextPosition at;
    bool own_storage = false;
  };

  bool ParseOwnNumber(OpId id) {
    const TextPosition at = scanner_.position();
    OpId number;
    if (!ParseOpNumber(number)) return false;
    if (!number.valid()) return scanner_.Fail(at, "an op needs a number");
    return op_numbers_.emplace(number.value, id).second || scanner_.Fail(at, fmt::format("two ops are numbered #{}", number.value));
  }

  bool ParseOpNumber(OpId& number) {
    if (!scanner_.Punctuation("#")) return false;
    if (scanner_.TryWord("none")) return true;
    const TextPosition at = scanner_.position();
    if (!ParseInt32("the number of an op", number.value)) return false;
    if (number.value < 0) return scanner_.Fail(at, "the number of an op is negative");
    op_mentions_.try_emplace(number.value, at);
    return true;
  }

  bool ParseResults(Op& op, std::vector<FreshResult>& fresh) {
    do {
      if (scanner_.TryWord("_"))
        op.results.emplace_back();
      else if (!ParseResult(op, fresh))
        return false;
    } while (scanner_.TryPunctuation(","));
    return scanner_.TryPunctuation("=") || scanner_.Expected("',' or '='");
  }

  bool ParseResult(Op& op, std::vector<FreshResult>& fresh) {
    const TextPosition at = scanner_.position();
    Tensor tensor;
    if (!ParseTensorName(tensor.name)) return false;
    op.results.push_back(tensors_.Mention(tensor.name, at));
    if (!scanner_.TryPunctuation(":")) return true;  // declared elsewhere
    if (!ParseTypeOf(tensor)) return false;
    const bool own_storage = !scanner_.PeekPunctuation("@");
    if (!own_storage && !ParsePlace(tensor)) return false;
    fresh.push_back({std::move(tensor), at, own_storage});
    return true;
  }

  bool DeclareResult(const Op& op, OpId id, FreshResult result) {
    result.tensor.producer = id;
    if (result.own_storage) {
      const std::string name = result.tensor.name;
      result.tensor.storage = storages_.Mention(name, result.at);
      if (!DeclareStorage({name, Bytes(ExtentOf(result.tensor).end), UsualRole(op), false}, result.at)) return false;
    }
    const TextPosition at = result.at;
    return DeclareTensor(std::move(result.tensor), at).valid();
  }

  bool ParseTarget(Op& op) {
    if (!scanner_.Word("the target of an op, such as aten.mm", op.target)) return false;
    op.kind = UsualKind(op.target);
    if (scanner_.PeekPunctuation("(")) return true;
    const auto kind = std::ranges::find(kKinds, op.target, [](OpKind value) { return Name(value); });
    if (kind == kKinds.end()) return scanner_.Expected(fmt::format("'(' after the target '{}'", op.target));
    op.kind = *kind;
    return scanner_.Word("the target of an op, such as aten.mm", op.target);
  }

  bool ParseArguments(Op& op) {
    if (!scanner_.Punctuation("(") || scanner_.TryPunctuation(")")) return !scanner_.failed();
    do {
      if (!ParseArgument(op.arguments.emplace_back())) return false;
    } while (scanner_.TryPunctuation(","));
    return scanner_.TryPunctuation(")") || scanner_.Expected("',' or ')'");
  }

  bool ParseArgument(Argument& argument) {
    if (scanner_.PeekPunctuation("%")) return ParseTensorUse(argument.emplace<TensorId>());
    if (scanner_.PeekPunctuation("#")) return ParseOpNumber(argument.emplace<OpId>());
    if (scanner_.TryWord("rank")) {
      return scanner_.Punctuation("(") && ParseRankExpression(scanner_, argument.emplace<RankExpression>()) && scanner_.Punctuation(")");
    }
    if (scanner_.TryWord("tensors")) {
      argument.emplace<std::vector<TensorId>>();
      return scanner_.Punctuation("[") && scanner_.Punctuation("]");
    }
    PlainArgument plain;
    bool read = false;
    if (scanner_.TryPunctuation("[")) {
      if (scanner_.PeekPunctuation("%")) return ParseTensorList(argument.emplace<std::vector<TensorId>>());
      read = ParsePlainList(scanner_, plain);
    } else {
      read = ParsePlainArgument(scanner_, plain);
    }
    std::visit([&](auto& value) { argument = std::move(value); }, plain);
    return read;
  }

  bool ParseTensorList(std::vector<TensorId>& tensors) {
    do {
      if (!ParseTensorUse(tensors.emplace_back())) return false;
    } while (scanner_.TryPunctuation(","));
    return scanner_.TryPunctuation("]") || scanner_.Expected("',' or ']'");
  }

  bool ParseAttributes(Op& op) {
    if (!scanner_.TryPunctuation("{")) return !scanner_.failed();
    std::set<std::string, std::less<>> seen;
    while (!scanner_.TryPunctuation("}")) {
      if (!OnlyOnce(seen) || !ParseAttribute(op)) return false;
    }
    return true;
  }

  bool ParseAttribute(Op& op) {
    if (TryKey("phase")) return ParseEnum(scanner_, "a phase", kPhases, op.phase);
    if (TryKey("layer")) return ParseInt32("a layer", op.layer);
    if (TryKey("micro_batch")) return ParseInt32("a micro-batch", op.micro_batch);
    if (TryKey("batch")) return ParseInt32("a batch", op.batch);
    if (TryKey("action")) return ParseInt32("the number of an action", op.action);
    if (TryKey("tile")) return ParseInt32("a tile", op.tile);
    if (TryKey("strand")) return ParseInt32("a strand", op.strand);
    if (TryKey("stream")) return ParseInt32("a compute stream", op.compute_stream);
    if (TryKey("region")) return ParseInt32("a region", op.region);
    if (TryKey("label")) return scanner_.QuotedString("a label in quotes", op.label);
    if (!TryKey("group")) {
      return scanner_.Expected("phase, layer, micro_batch, group, batch, action, tile, strand, stream, region, label or '}'");
    }
    const TextPosition at = scanner_.position();
    std::string name;
    if (!scanner_.Name("the name of a group", name)) return false;
    op.group = groups_.Mention(name, at);
    return true;
  }

  // ---- names and numbers to ids ----

  struct NumberList {
    std::vector<int32_t> numbers;
    TextPosition at;
  };

  void Resolve() {
    if (!diagnostics_.ok()) return;  // what a broken statement declares is not known
    ReportUndeclared(tensors_, "tensor %");
    ReportUndeclared(storages_, "storage @");
    ReportUndeclared(groups_, "group ");
    for (const auto& [number, at] : op_mentions_) {
      if (!op_numbers_.contains(number)) Report({at, fmt::format("no op is numbered #{}", number)});
    }
    CheckOrder(tensor_order_, program_.tensors.size(), "tensors");
    CheckOrder(storage_order_, program_.storages.size(), "storages");
    if (!diagnostics_.ok()) return;
    for (Tensor& tensor : program_.tensors) tensor.storage = Final(tensor.storage);
    for (const auto& [tensor, number] : marked_producers_) program_.tensors[tensor].producer = Final(number);
    for (ParameterSegment& segment : program_.segments) {
      for (StorageId* id : {&segment.parameter, &segment.gradient, &segment.master, &segment.moment_first, &segment.moment_second})
        *id = Final(*id);
    }
    for (auto& [name, tensor] : program_.inputs) tensor = Final(tensor);
    for (auto& [name, tensor] : program_.outputs) tensor = Final(tensor);
    for (Op& op : program_.ops) ResolveOp(op);
    Permute(tensor_order_, program_.tensors);
    Permute(storage_order_, program_.storages);
  }

  template <typename Tag>
  void ReportUndeclared(const NameTable<Tag>& table, std::string_view what) {
    for (size_t i = 0; i < table.size(); ++i) {
      if (!table.IsDeclared(Id<Tag>(i))) Report({table.mention(i), fmt::format("{}{} is declared nowhere", what, table.name(i))});
    }
  }

  void CheckOrder(const std::optional<NumberList>& order, size_t count, std::string_view what) {
    if (!order) return;
    std::vector<int32_t> sorted = order->numbers;
    std::ranges::sort(sorted);
    bool is_permutation = sorted.size() == count;
    for (size_t i = 0; is_permutation && i < count; ++i) is_permutation = sorted[i] == static_cast<int32_t>(i);
    if (!is_permutation) Report({order->at, fmt::format("the order must name each of the {} {} once, from 0", count, what)});
  }

  TensorId Final(TensorId id) const { return Ordered(tensors_.Declared(id), tensor_order_); }
  StorageId Final(StorageId id) const { return Ordered(storages_.Declared(id), storage_order_); }

  template <typename Tag>
  static Id<Tag> Ordered(Id<Tag> id, const std::optional<NumberList>& order) {
    if (id.valid() && order) id.value = order->numbers[id.index()];
    return id;
  }

  template <typename T>
  static void Permute(const std::optional<NumberList>& order, std::vector<T>& items) {
    if (!order) return;
    std::vector<T> ordered(items.size());
    for (size_t i = 0; i < items.size(); ++i) ordered[static_cast<size_t>(order->numbers[i])] = std::move(items[i]);
    items = std::move(ordered);
  }

  OpId Final(OpId number) const { return number.valid() ? op_numbers_.at(number.value) : number; }

  void ResolveOp(Op& op) {
    op.group = groups_.Declared(op.group);
    for (TensorId& result : op.results) result = Final(result);
    for (Argument& argument : op.arguments) {
      if (auto* tensor = std::get_if<TensorId>(&argument)) *tensor = Final(*tensor);
      if (auto* start = std::get_if<OpId>(&argument)) *start = Final(*start);
      if (auto* list = std::get_if<std::vector<TensorId>>(&argument)) {
        for (TensorId& tensor : *list) tensor = Final(tensor);
      }
    }
  }

  std::string_view text_;
  std::string_view file_;
  TextScanner scanner_;
  std::shared_ptr<const SourceText> source_;  // made for the first error
  Diagnostics diagnostics_;
  Program program_;
  bool seen_program_ = false;
  NameTable<TensorTag> tensors_;
  NameTable<StorageTag> storages_;
  NameTable<GroupTag> groups_;
  std::map<int32_t, OpId> op_numbers_;                     // `#n` at the start of an op -> its index
  std::map<int32_t, TextPosition> op_mentions_;            // every `#n`
  std::vector<std::pair<size_t, OpId>> marked_producers_;  // `producer=#n` of a tensor statement: its place, and the number
  std::optional<NumberList> tensor_order_;
  std::optional<NumberList> storage_order_;
};

}  // namespace

Result<Program> ParseProgram(std::string_view text, std::string_view file) { return ProgramParser(text, file).Parse(); }

}  // namespace helm::ir
