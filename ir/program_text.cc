#include "ir/program_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/hash.h"
#include "core/text.h"
#include "ir/text_values.h"
#include "ir/text_words.h"

namespace helm::ir {
namespace {

// The order in which the text declares tensors and storages. The reader numbers them in that order, unless an `order` statement follows.
struct DeclarationOrder {
  std::vector<TensorId> tensors;
  std::vector<StorageId> storages;
};

class Printer {
 public:
  explicit Printer(const Program& program)
      : program_(program), declared_by_op_(program.tensors.size(), false), implied_(program.storages.size(), false) {
    FindDeclarations();
  }

  std::string Print() {
    text_ = "helm-program/1\n";
    PrintHeader();
    for (const StorageId storage : order_.storages) PrintStorage(storage);
    for (const ParameterSegment& segment : program_.segments) PrintSegment(segment);
    for (const TensorId tensor : order_.tensors) {
      if (!declared_by_op_[tensor.index()]) PrintTensor(tensor);
    }
    PrintPorts("input", program_.inputs);
    for (size_t i = 0; i < program_.ops.size(); ++i) PrintOp(i);
    PrintPorts("output", program_.outputs);
    PrintOrder("tensors", order_.tensors);
    PrintOrder("storages", order_.storages);
    return std::move(text_);
  }

 private:
  template <typename... Arguments>
  void Add(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Arguments>(arguments)...);
  }

  // A result is declared on the line of its producer; its storage is implied when it is just what a fresh result has.
  void FindDeclarations() {
    std::vector<TensorId> results;
    std::vector<StorageId> implied;
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      for (const TensorId id : program_.ops[i].results) {
        if (!id.valid() || declared_by_op_[id.index()] || program_.tensor(id).producer != OpId(i)) continue;
        declared_by_op_[id.index()] = true;
        results.push_back(id);
        const StorageId storage = program_.tensor(id).storage;
        if (!IsImplied(program_.ops[i], id)) continue;
        implied_[storage.index()] = true;
        implied.push_back(storage);
      }
    }
    for (size_t t = 0; t < program_.tensors.size(); ++t) {
      if (!declared_by_op_[t]) order_.tensors.push_back(TensorId(t));
    }
    for (size_t s = 0; s < program_.storages.size(); ++s) {
      if (!implied_[s]) order_.storages.push_back(StorageId(s));
    }
    order_.tensors.insert(order_.tensors.end(), results.begin(), results.end());
    order_.storages.insert(order_.storages.end(), implied.begin(), implied.end());
  }

  bool IsImplied(const Op& op, TensorId id) const {
    const Tensor& tensor = program_.tensor(id);
    const Storage& storage = program_.storage(tensor.storage);
    return storage.name == tensor.name && tensor.offset == 0 && !storage.persistent && storage.role == UsualRole(op) &&
           storage.bytes.count() == ExtentOf(tensor).end;
  }

  void PrintHeader() {
    Add("program {} device={}\n", NameText(program_.name), Name(program_.device));
    if (!program_.mesh.empty()) text_ += "mesh";
    for (const MeshDimension& dimension : program_.mesh) Add(" {}={}", NameText(dimension.name), dimension.size);
    if (!program_.mesh.empty()) text_ += '\n';
    for (const Group& group : program_.groups) {
      std::vector<std::string> names;
      for (const std::string& name : group.dimensions) names.push_back(NameText(name));
      Add("group {} = [{}]", NameText(group.name), Join(names, ", "));
      if (!group.coordinates.empty()) Add(" at [{}]", fmt::join(group.coordinates, ", "));
      text_ += '\n';
    }
    if (!program_.schedule.empty()) Add("schedule {}\n", QuotedText(ToText(program_.schedule)));
  }

  void PrintStorage(StorageId id) {
    if (implied_[id.index()]) return;
    const Storage& storage = program_.storage(id);
    Add("storage {}: {} bytes {}{}\n", NameText(storage.name), storage.bytes.count(), Name(storage.role),
        storage.persistent ? " persistent" : "");
  }

  void PrintSegment(const ParameterSegment& segment) {
    Add("segment {} elements={} weight_decay={} tensor_replicated={}", NameText(segment.name), segment.elements, segment.weight_decay,
        segment.tensor_replicated);
    PrintSharding(segment.sharded_over);
    if (segment.gradient_sharded) Add(" gradient_sharded=true");
    PrintStorageField("parameter", segment.parameter);
    PrintStorageField("gradient", segment.gradient);
    Add(" gradient_offset={}", segment.gradient_offset);
    PrintStorageField("master", segment.master);
    PrintStorageField("moment_first", segment.moment_first);
    PrintStorageField("moment_second", segment.moment_second);
    text_ += '\n';
    for (const ParameterPiece& piece : segment.pieces) PrintPiece(piece);
  }

  void PrintSharding(const std::vector<std::string>& dimensions) {
    std::vector<std::string> names;
    for (const std::string& name : dimensions) names.push_back(NameText(name));
    if (names.size() == 1) Add(" sharded_over={}", names.front());
    if (names.size() > 1) Add(" sharded_over=[{}]", Join(names, ", "));
  }

  void PrintStorageField(std::string_view name, StorageId storage) {
    if (storage.valid()) Add(" {}={}", name, At(storage));
  }

  void PrintPiece(const ParameterPiece& piece) {
    std::vector<std::string> box_offset;
    for (const RankExpression& offset : piece.box_offset) box_offset.push_back(ToText(offset));
    Add("  piece {} offset={} global_shape=[{}] box_offset=[{}] box_shape=[{}] transposed={} initialization={} standard_deviation={}\n",
        NameText(piece.name), piece.offset, fmt::join(piece.global_shape, ","), Join(box_offset, ", "), fmt::join(piece.box_shape, ","),
        piece.transposed, Name(piece.initialization), DoubleText(piece.standard_deviation));
  }

  std::string At(StorageId storage) const { return "@" + NameText(program_.storage(storage).name); }
  std::string Percent(TensorId tensor) const { return "%" + NameText(program_.tensor(tensor).name); }

  std::string Placed(TensorId id) const {
    const Tensor& tensor = program_.tensor(id);
    std::string text = " " + At(tensor.storage);
    if (tensor.offset != 0) text += fmt::format("+{}", tensor.offset);
    return text;
  }

  std::string Typed(TensorId id) const {
    const Tensor& tensor = program_.tensor(id);
    return Percent(id) + ": " + TypeText(tensor.dtype, tensor.shape, tensor.strides);
  }

  void PrintTensor(TensorId id) {
    Add("tensor {}{}", Typed(id), Placed(id));
    if (program_.tensor(id).producer.valid()) Add(" producer=#{}", program_.tensor(id).producer.value);
    text_ += '\n';
  }

  void PrintPorts(std::string_view what, const std::map<std::string, TensorId>& ports) {
    for (const auto& [name, tensor] : ports) Add("{} {} = {}\n", what, NameText(name), Percent(tensor));
  }

  std::string ResultText(const Op& op, OpId op_id, TensorId id, std::vector<TensorId>& declared_here) const {
    if (!id.valid()) return "_";
    const bool again = std::ranges::find(declared_here, id) != declared_here.end();
    if (again || program_.tensor(id).producer != op_id) return Percent(id);
    declared_here.push_back(id);
    return IsImplied(op, id) ? Typed(id) : Typed(id) + Placed(id);
  }

  std::string ArgumentText(TensorId tensor) const { return Percent(tensor); }
  std::string ArgumentText(OpId op) const { return op.valid() ? fmt::format("#{}", op.value) : "#none"; }
  std::string ArgumentText(const RankExpression& expression) const { return "rank(" + ToText(expression) + ")"; }
  std::string ArgumentText(const std::vector<TensorId>& tensors) const {
    if (tensors.empty()) return "tensors[]";
    std::vector<std::string> items;
    for (const TensorId tensor : tensors) items.push_back(Percent(tensor));
    return "[" + Join(items, ", ") + "]";
  }
  template <typename Value>
  std::string ArgumentText(const Value& value) const {
    return PlainText(value);
  }

  void PrintOp(size_t index) {
    const Op& op = program_.ops[index];
    std::vector<std::string> results;
    std::vector<TensorId> declared_here;
    for (const TensorId result : op.results) results.push_back(ResultText(op, OpId(index), result, declared_here));
    std::vector<std::string> arguments;
    for (const Argument& argument : op.arguments) {
      arguments.push_back(std::visit([&](const auto& value) { return ArgumentText(value); }, argument));
    }
    Add("#{} {}{}", index, Join(results, ", "), results.empty() ? "" : " = ");
    if (op.kind != UsualKind(op.target)) Add("{} ", Name(op.kind));
    Add("{}({}) {{phase={}", op.target, Join(arguments, ", "), Name(op.phase));
    PrintNumber("layer", op.layer, -1);
    PrintNumber("micro_batch", op.micro_batch, -1);
    if (op.group.valid()) Add(" group={}", NameText(program_.group(op.group).name));
    PrintNumber("batch", op.batch, -1);
    PrintNumber("action", op.action, -1);
    PrintNumber("tile", op.tile, 0);
    PrintNumber("strand", op.strand, 0);
    PrintNumber("stream", op.compute_stream, 0);
    PrintNumber("region", op.region, -1);
    if (!op.label.empty()) Add(" label={}", QuotedText(op.label));
    text_ += "}\n";
  }

  void PrintNumber(std::string_view name, int32_t value, int32_t usual) {
    if (value != usual) Add(" {}={}", name, value);
  }

  // `order tensors [0-4, 7, 5-6]`: the id of each declaration, only where that is not its place in the text.
  template <typename Tag>
  void PrintOrder(std::string_view what, const std::vector<Id<Tag>>& declared) {
    std::vector<std::string> runs;
    bool in_order = true;
    for (size_t begin = 0; begin < declared.size();) {
      size_t end = begin + 1;
      while (end < declared.size() && declared[end].value == declared[end - 1].value + 1) ++end;
      in_order = in_order && declared[begin].index() == begin;
      const int32_t first = declared[begin].value;
      runs.push_back(end == begin + 1 ? fmt::format("{}", first) : fmt::format("{}-{}", first, declared[end - 1].value));
      begin = end;
    }
    if (!in_order) Add("order {} [{}]\n", what, Join(runs, ", "));
  }

  const Program& program_;
  std::vector<bool> declared_by_op_;  // by tensor
  std::vector<bool> implied_;         // by storage
  DeclarationOrder order_;
  std::string text_;
};

}  // namespace

std::string ToText(const Program& program) { return Printer(program).Print(); }

namespace {

// "shares 2 1\n", or nothing.
std::string SharesText(const StepPrograms& step) {
  std::string text;
  for (const int64_t ranks : step.share_ranks) text += (text.empty() ? std::string(kSharesWord) : "") + " " + std::to_string(ranks);
  return text.empty() ? text : text + "\n";
}

}  // namespace

std::string ToText(const StepPrograms& step) {
  std::string text = SharesText(step);
  for (const Program& program : step.classes) text += ToText(program);
  return text;
}

std::string ProgramHash(const Program& program) { return Hex16(Hash64(ToText(program))); }
// Of ToText(step), class by class: the text of a large step would take gigabytes.
std::string ProgramHash(const StepPrograms& step) {
  uint64_t state = step.share_ranks.empty() ? kHashStart : Hash64(SharesText(step));
  for (const Program& program : step.classes) state = Hash64(ToText(program), state);
  return Hex16(state);
}

}  // namespace helm::ir
