#include "ir/text_values.h"

#include <fmt/format.h>

#include <cstdlib>

#include "core/text.h"

namespace helm::ir {
namespace {

std::string NumbersText(const std::vector<int64_t>& values) { return fmt::format("{}", fmt::join(values, ",")); }

bool ParseBool(TextScanner& scanner, bool& value) {
  value = scanner.PeekWord() == "true";
  return scanner.TryWord("true") || scanner.TryWord("false") || scanner.Expected("true or false");
}

// Comma-separated items up to `close`, which is read too.
template <typename ParseItem>
bool ParseUntil(TextScanner& scanner, std::string_view close, ParseItem parse_item) {
  if (scanner.TryPunctuation(close)) return true;
  do {
    if (!parse_item()) return false;
  } while (scanner.TryPunctuation(","));
  if (scanner.TryPunctuation(close)) return true;
  return scanner.Expected(fmt::format("',' or '{}'", close));
}

bool ParseNumbers(TextScanner& scanner, std::string_view what, std::string_view close, std::vector<int64_t>& values) {
  values.clear();
  return ParseUntil(scanner, close, [&] { return scanner.Integer(what, values.emplace_back()); });
}

bool ParseSizesUntil(TextScanner& scanner, std::string_view what, std::string_view close, std::vector<int64_t>& values) {
  values.clear();
  return ParseUntil(scanner, close, [&] { return ParseSize(scanner, what, values.emplace_back()); });
}

constexpr int64_t kSizeLimit = int64_t{1} << 40;
constexpr int64_t kElementLimit = int64_t{1} << 56;

bool ParseWordArgument(TextScanner& scanner, PlainArgument& argument) {
  if (scanner.TryWord("none"))
    argument = NoneArgument();
  else if (scanner.TryWord("true"))
    argument = true;
  else if (scanner.TryWord("false"))
    argument = false;
  else if (scanner.TryWord("bools")) {
    argument = std::vector<bool>();
    return scanner.Punctuation("[") && scanner.Punctuation("]");
  } else if (const auto type = DataTypeFromName(scanner.PeekWord())) {
    argument = *type;
    return scanner.TryWord(Name(*type));
  } else {
    return scanner.Expected("an argument");
  }
  return true;
}

}  // namespace

StorageRole UsualRole(const Op& op) {
  return op.kind == OpKind::kCollectiveStart ? StorageRole::kCommunicationBuffer : StorageRole::kActivation;
}

OpKind UsualKind(std::string_view target) {
  if (target == "c10d.wait") return OpKind::kWait;
  return target.starts_with("c10d.") ? OpKind::kCollectiveStart : OpKind::kCompute;
}

std::string TypeText(DataType dtype, const Shape& shape, const Shape& strides) {
  std::string text = fmt::format("{}[{}]", Name(dtype), NumbersText(shape));
  if (strides != ContiguousStrides(shape)) text += fmt::format("{{{}}}", NumbersText(strides));
  return text;
}

bool ParseSize(TextScanner& scanner, std::string_view what, int64_t& value) {
  if (scanner.failed()) return false;
  const TextPosition at = scanner.position();
  if (!scanner.Integer(what, value)) return false;
  if (value >= -kSizeLimit && value <= kSizeLimit) return true;
  return scanner.Fail(at, fmt::format("{} of {} is more than 2^40", what, value));
}

bool CheckShape(TextScanner& scanner, TextPosition position, const Shape& shape, const Shape& strides) {
  int64_t elements = 1;
  int64_t reach = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t size = std::max<int64_t>(std::abs(shape[i]), 1);
    int64_t step = 0;
    const bool overflow = __builtin_mul_overflow(elements, size, &elements) ||
                          __builtin_mul_overflow(size, i < strides.size() ? std::abs(strides[i]) : 0, &step) ||
                          __builtin_add_overflow(reach, step, &reach);
    if (overflow || elements > kElementLimit || reach > kElementLimit)
      return scanner.Fail(position, "the tensor has more than 2^56 elements");
  }
  return true;
}

bool ParseType(TextScanner& scanner, TensorType& type) {
  const TextPosition at = scanner.position();
  if (!scanner.DataTypeName(type.dtype) || !scanner.Punctuation("[")) return false;
  if (!ParseSizesUntil(scanner, "a size", "]", type.shape) || !CheckShape(scanner, at, type.shape, {})) return false;
  if (!scanner.TryPunctuation("{")) {
    type.strides = ContiguousStrides(type.shape);
    return true;
  }
  return ParseSizesUntil(scanner, "a stride", "}", type.strides) && CheckShape(scanner, at, type.shape, type.strides);
}

std::string PlainText(NoneArgument) { return "none"; }
std::string PlainText(bool value) { return value ? "true" : "false"; }
std::string PlainText(int64_t value) { return std::to_string(value); }
std::string PlainText(double value) { return DoubleText(value); }
std::string PlainText(const std::string& value) { return QuotedText(value); }
std::string PlainText(DataType value) { return std::string(Name(value)); }

std::string PlainText(const std::vector<int64_t>& value) { return fmt::format("[{}]", fmt::join(value, ", ")); }

std::string PlainText(const std::vector<bool>& value) {
  if (value.empty()) return "bools[]";
  std::vector<std::string> items;
  for (const bool item : value) items.push_back(PlainText(item));
  return "[" + Join(items, ", ") + "]";
}

bool ParsePlainList(TextScanner& scanner, PlainArgument& argument) {
  const std::string_view word = scanner.PeekWord();
  if (word == "true" || word == "false") {
    std::vector<bool> values;
    const bool read = ParseUntil(scanner, "]", [&] {
      bool value = false;
      const bool ok = ParseBool(scanner, value);
      values.push_back(value);
      return ok;
    });
    argument = std::move(values);
    return read;
  }
  std::vector<int64_t> values;
  const bool read = ParseNumbers(scanner, "a whole number", "]", values);
  argument = std::move(values);
  return read;
}

bool ParseSizes(TextScanner& scanner, std::string_view what, std::vector<int64_t>& values) {
  return scanner.Punctuation("[") && ParseSizesUntil(scanner, what, "]", values);
}

bool ParsePlainArgument(TextScanner& scanner, PlainArgument& argument) {
  if (scanner.TryPunctuation("[")) return ParsePlainList(scanner, argument);
  if (scanner.AtQuotedString()) return scanner.QuotedString("a string", argument.emplace<std::string>());
  if (scanner.AtDouble()) return scanner.Double("a number", argument.emplace<double>());
  if (scanner.AtNumber()) return scanner.Integer("a whole number", argument.emplace<int64_t>());
  return ParseWordArgument(scanner, argument);
}

bool ParseRankExpression(TextScanner& scanner, RankExpression& expression) {
  expression.terms.clear();
  if (!scanner.Integer("a rank expression such as 0+16000*tensor", expression.constant)) return false;
  while (scanner.TryPunctuation("+") || scanner.PeekPunctuation("-")) {
    RankTerm& term = expression.terms.emplace_back();
    if (!scanner.Integer("a coefficient", term.coefficient) || !scanner.Punctuation("*")) return false;
    if (!scanner.Name("the name of a mesh dimension", term.dimension)) return false;
  }
  return !scanner.failed();
}

}  // namespace helm::ir
