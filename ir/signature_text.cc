// The text form of signatures, and its parser.
#include <fmt/format.h>

#include "core/text.h"
#include "ir/signature.h"
#include "ir/text_scanner.h"
#include "ir/text_values.h"

namespace helm::ir {
namespace {

std::string SignatureText(const TensorSignature& tensor) {
  std::string text = (tensor.persistent ? "@" : "") + TypeText(tensor.dtype, tensor.shape, tensor.strides);
  if (tensor.index_bound > 0) text += fmt::format("<{}", tensor.index_bound);
  return text;
}

std::string SignatureText(const std::vector<TensorSignature>& tensors) {
  if (tensors.empty()) return "tensors[]";
  std::vector<std::string> items;
  for (const TensorSignature& tensor : tensors) items.push_back(SignatureText(tensor));
  return "[" + Join(items, ", ") + "]";
}

template <typename Value>
std::string SignatureText(const Value& value) {
  return PlainText(value);
}

// `f32` is a data type, `f32[...]` a tensor.
bool AtTensor(TextScanner scanner) {
  if (scanner.PeekPunctuation("@")) return true;
  DataType ignored = DataType::kFloat32;
  return DataTypeFromName(scanner.PeekWord()).has_value() && scanner.DataTypeName(ignored) && scanner.PeekPunctuation("[");
}

bool ParseTensor(TextScanner& scanner, TensorSignature& tensor) {
  tensor.persistent = scanner.TryPunctuation("@");
  TensorType type;
  if (!ParseType(scanner, type)) return false;
  tensor.dtype = type.dtype;
  tensor.shape = std::move(type.shape);
  tensor.strides = std::move(type.strides);
  if (!scanner.TryPunctuation("<")) return true;
  const TextPosition at = scanner.position();
  if (!scanner.Integer("the bound of an index", tensor.index_bound)) return false;
  return tensor.index_bound > 0 || scanner.Fail(at, "the bound of an index must be positive");
}

bool ParseTensors(TextScanner& scanner, ArgumentSignature& argument) {
  std::vector<TensorSignature> tensors;
  do {
    if (!ParseTensor(scanner, tensors.emplace_back())) return false;
  } while (scanner.TryPunctuation(","));
  argument = std::move(tensors);
  return scanner.TryPunctuation("]") || scanner.Expected("',' or ']'");
}

bool ParseArgument(TextScanner& scanner, ArgumentSignature& argument) {
  if (AtTensor(scanner)) return ParseTensor(scanner, argument.emplace<TensorSignature>());
  if (scanner.TryWord("tensors")) {
    argument = std::vector<TensorSignature>();
    return scanner.Punctuation("[") && scanner.Punctuation("]");
  }
  PlainArgument plain;
  bool read = false;
  if (scanner.TryPunctuation("[")) {
    if (AtTensor(scanner)) return ParseTensors(scanner, argument);
    read = ParsePlainList(scanner, plain);
  } else {
    read = ParsePlainArgument(scanner, plain);
  }
  std::visit([&](auto& value) { argument = std::move(value); }, plain);
  return read;
}

bool ParseSignature(TextScanner& scanner, OpSignature& signature) {
  if (!scanner.Word("the target of an op, such as aten.mm", signature.target) || !scanner.Punctuation("(")) return false;
  if (!scanner.TryPunctuation(")")) {
    do {
      if (!ParseArgument(scanner, signature.arguments.emplace_back())) return false;
    } while (scanner.TryPunctuation(","));
    if (!scanner.TryPunctuation(")")) return scanner.Expected("',' or ')'");
  }
  return scanner.AtEnd() || scanner.Expected("the end of the signature");
}

}  // namespace

std::string ToText(const OpSignature& signature) {
  std::vector<std::string> items;
  for (const ArgumentSignature& argument : signature.arguments) {
    items.push_back(std::visit([](const auto& value) { return SignatureText(value); }, argument));
  }
  return signature.target + "(" + Join(items, ", ") + ")";
}

Result<OpSignature> ParseOpSignature(std::string_view text) {
  TextScanner scanner(text);
  OpSignature signature;
  if (!ParseSignature(scanner, signature)) return InvalidError(LocatedMessage(text, "op signature", scanner.error()));
  return signature;
}

std::string ToText(const CollectiveSignature& signature) {
  const std::string groups = signature.groups_per_node == 1 ? "" : fmt::format(" groups={}", signature.groups_per_node);
  return fmt::format("{} {} ranks={} per_node={}{} bytes={}", signature.kind, Name(signature.dtype), signature.ranks,
                     signature.ranks_per_node, groups, signature.bytes.count());
}

namespace {

bool ParseField(TextScanner& scanner, std::string_view name, int64_t& value) {
  if (!scanner.TryWord(name)) return scanner.Expected(fmt::format("'{}='", name));
  return scanner.Punctuation("=") && scanner.Integer("a whole number", value);
}

// Several groups on a node; one is not written, so that each signature has one text.
bool ParseGroups(TextScanner& scanner, int64_t& groups) {
  if (!scanner.TryWord("groups")) return true;
  if (!scanner.Punctuation("=") || !scanner.Integer("a whole number", groups)) return false;
  return groups > 1 || scanner.Expected("a whole number of at least 2 ('groups' is left out for one)");
}

bool ParseCollective(TextScanner& scanner, CollectiveSignature& signature) {
  int64_t bytes = 0;
  const bool read = scanner.Word("the kind of a collective, such as all_reduce", signature.kind) && scanner.DataTypeName(signature.dtype) &&
                    ParseField(scanner, "ranks", signature.ranks) && ParseField(scanner, "per_node", signature.ranks_per_node) &&
                    ParseGroups(scanner, signature.groups_per_node) && ParseField(scanner, "bytes", bytes);
  signature.bytes = Bytes(bytes);
  return read && (scanner.AtEnd() || scanner.Expected("the end of the signature"));
}

}  // namespace

Result<CollectiveSignature> ParseCollectiveSignature(std::string_view text) {
  TextScanner scanner(text);
  CollectiveSignature signature;
  if (!ParseCollective(scanner, signature)) return InvalidError(LocatedMessage(text, "collective signature", scanner.error()));
  return signature;
}

}  // namespace helm::ir
