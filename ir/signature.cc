#include "ir/signature.h"

#include <algorithm>
#include <array>
#include <optional>

#include "core/check.h"
#include "ir/target.h"

namespace helm::ir {
namespace {

bool IsIndexType(DataType type) { return type == DataType::kInt64 || type == DataType::kInt32; }

// A persistent operand of these roles was last touched a step or a micro-batch ago; an input is small and just written by the outside.
bool IsCold(const Storage& storage) {
  return storage.persistent && (storage.role == StorageRole::kParameter || storage.role == StorageRole::kGradient ||
                                storage.role == StorageRole::kOptimizerState);
}

ArgumentSignature SignatureOf(const Program& program, const Argument& argument) {
  if (const auto* tensor = std::get_if<TensorId>(&argument)) return SignatureOf(program, *tensor);
  if (const auto* expression = std::get_if<RankExpression>(&argument)) return expression->constant;
  if (const auto* list = std::get_if<std::vector<TensorId>>(&argument)) {
    std::vector<TensorSignature> tensors;
    for (const TensorId tensor : *list) tensors.push_back(SignatureOf(program, tensor));
    return tensors;
  }
  return std::visit(
      [](const auto& value) -> ArgumentSignature {
        if constexpr (std::is_convertible_v<decltype(value), ArgumentSignature>) return value;
        HELM_CHECK(false, "only a wait names an op, and a wait has no signature");
        return NoneArgument();
      },
      argument);
}

// The size of dimension `dim` of the tensor argument at `self`; a negative one counts from the end.
std::optional<int64_t> IndexedSize(const OpSignature& op, size_t self, int64_t dim) {
  if (self >= op.arguments.size()) return std::nullopt;
  const auto* tensor = std::get_if<TensorSignature>(&op.arguments[self]);
  if (tensor == nullptr) return std::nullopt;
  const auto rank = static_cast<int64_t>(tensor->shape.size());
  if (dim < 0) dim += rank;
  if (dim < 0 || dim >= rank) return std::nullopt;
  return tensor->shape[static_cast<size_t>(dim)];
}

std::optional<int64_t> IntegerAt(const OpSignature& op, size_t at) {
  if (at >= op.arguments.size()) return std::nullopt;
  const auto* value = std::get_if<int64_t>(&op.arguments[at]);
  return value == nullptr ? std::nullopt : std::optional<int64_t>(*value);
}

void Bound(OpSignature& op, size_t at, std::optional<int64_t> bound) {
  if (!bound || *bound <= 0 || at >= op.arguments.size()) return;
  auto* tensor = std::get_if<TensorSignature>(&op.arguments[at]);
  if (tensor != nullptr && IsIndexType(tensor->dtype)) tensor->index_bound = *bound;
}

void BoundAlongDimension(OpSignature& op) {  // (self, dim, index, ...)
  if (const auto dim = IntegerAt(op, 1)) Bound(op, 2, IndexedSize(op, 0, *dim));
}

void BoundIndexLists(OpSignature& op) {  // (self, indices[], ...): the i-th list member indexes dimension i
  if (op.arguments.size() < 2) return;
  auto* indices = std::get_if<std::vector<TensorSignature>>(&op.arguments[1]);
  if (indices == nullptr) return;
  for (size_t i = 0; i < indices->size(); ++i) {
    const auto size = IndexedSize(op, 0, static_cast<int64_t>(i));
    if (size && IsIndexType((*indices)[i].dtype)) (*indices)[i].index_bound = *size;
  }
}

// Which integer operands must stay below which size: what the schemas of ATen (native_functions.yaml, torch 2.11) mean by their index
// arguments. Classes of nll_loss lie in the last dimension of a [classes] or [rows, classes] operand.
void SetIndexBounds(OpSignature& op) {
  constexpr std::array<std::string_view, 6> kAlongDimension = {"gather",       "scatter",   "scatter_add",
                                                               "index_select", "index_add", "index_copy"};
  const std::string base = BaseName(op.target);
  if (base == "embedding") Bound(op, 1, IndexedSize(op, 0, 0));
  if (base == "embedding_dense_backward") Bound(op, 1, IntegerAt(op, 2));
  if (std::ranges::find(kAlongDimension, base) != kAlongDimension.end()) BoundAlongDimension(op);
  if (base == "index" || base == "index_put") BoundIndexLists(op);
  if (base == "nll_loss_forward") Bound(op, 1, IndexedSize(op, 0, -1));
  if (base == "nll_loss_backward") Bound(op, 2, IndexedSize(op, 1, -1));
}

int64_t BytesOf(const TensorSignature& tensor) { return ElementCount(tensor.shape) * ElementBytes(tensor.dtype); }

// Learning rate, betas, weight decay and epsilon do not change what an optimizer's kernel does: one row serves every run. The values are
// AdamW's usual ones, so that measuring on random data stays finite.
void ForgetHyperparameters(OpSignature& op) {
  if (op.target != "aten._fused_adamw_") return;
  constexpr std::array<double, 5> kUsual = {1e-3, 0.9, 0.95, 0.1, 1e-8};
  size_t next = 0;
  for (ArgumentSignature& argument : op.arguments) {
    if (std::holds_alternative<double>(argument) && next < kUsual.size()) argument = kUsual[next++];
  }
}

void AddNumbers(Fingerprinter& fingerprint, const std::vector<int64_t>& numbers) {
  fingerprint.Add(static_cast<uint64_t>(numbers.size()));
  for (const int64_t number : numbers) fingerprint.Add(number);
}

// Adds what a signature says of an argument; which kind it is has been added before.
struct ArgumentFingerprint {
  const Program& program;
  Fingerprinter& fingerprint;

  void operator()(NoneArgument /*none*/) const {}
  void operator()(TensorId id) const {
    const Tensor& tensor = program.tensor(id);
    fingerprint.Add(static_cast<uint64_t>(tensor.dtype) * 2 + (IsCold(program.storage(tensor.storage)) ? 1 : 0));
    AddNumbers(fingerprint, tensor.shape);
    AddNumbers(fingerprint, tensor.strides);
  }
  void operator()(const std::vector<TensorId>& tensors) const {
    fingerprint.Add(static_cast<uint64_t>(tensors.size()));
    for (const TensorId tensor : tensors) (*this)(tensor);
  }
  void operator()(bool value) const { fingerprint.Add(static_cast<uint64_t>(value)); }
  void operator()(int64_t value) const { fingerprint.Add(value); }
  void operator()(double value) const { fingerprint.Add(value); }
  void operator()(const std::vector<int64_t>& values) const { AddNumbers(fingerprint, values); }
  void operator()(const std::vector<bool>& values) const {
    fingerprint.Add(static_cast<uint64_t>(values.size()));
    for (const bool value : values) fingerprint.Add(static_cast<uint64_t>(value));
  }
  void operator()(const std::string& value) const { fingerprint.Add(std::string_view(value)); }
  void operator()(DataType value) const { fingerprint.Add(static_cast<uint64_t>(value)); }
  void operator()(const RankExpression& expression) const { fingerprint.Add(expression.constant); }
  void operator()(OpId /*start*/) const { HELM_CHECK(false, "only a wait names an op, and a wait has no signature"); }
};

}  // namespace

TensorSignature SignatureOf(const Program& program, TensorId id) {
  const Tensor& tensor = program.tensor(id);
  return {tensor.dtype, tensor.shape, tensor.strides, IsCold(program.storage(tensor.storage)), 0};
}

OpSignature SignatureOf(const Program& program, const Op& op) {
  HELM_CHECK(op.kind == OpKind::kCompute || op.kind == OpKind::kView, "only compute and view ops have a signature");
  OpSignature signature{op.target, {}};
  for (const Argument& argument : op.arguments) signature.arguments.push_back(SignatureOf(program, argument));
  SetIndexBounds(signature);
  ForgetHyperparameters(signature);
  return signature;
}

Fingerprint FingerprintOf(const Program& program, const Op& op) {
  HELM_CHECK(op.kind == OpKind::kCompute || op.kind == OpKind::kView, "only compute and view ops have a signature");
  Fingerprinter fingerprint;
  fingerprint.Add(std::string_view(op.target));
  for (const Argument& argument : op.arguments) {
    const bool of_rank = std::holds_alternative<RankExpression>(argument);  // in a signature a number
    fingerprint.Add(static_cast<uint64_t>(of_rank ? Argument(int64_t{0}).index() : argument.index()));
    std::visit(ArgumentFingerprint{program, fingerprint}, argument);
  }
  return fingerprint.value();
}

Bytes BytesRead(const OpSignature& signature) {
  Bytes bytes;
  for (const ArgumentSignature& argument : signature.arguments) {
    if (const auto* tensor = std::get_if<TensorSignature>(&argument)) bytes += Bytes(BytesOf(*tensor));
    const auto* list = std::get_if<std::vector<TensorSignature>>(&argument);
    if (list == nullptr) continue;
    for (const TensorSignature& tensor : *list) bytes += Bytes(BytesOf(tensor));
  }
  return bytes;
}

}  // namespace helm::ir
