#include "ir/text_scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>

#include "core/diagnostics.h"

namespace helm::ir {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNameCharacter(char c) { return IsLetter(c) || IsDigit(c) || c == '.'; }
bool IsWordCharacter(char c) { return IsNameCharacter(c) || c == '-'; }

template <typename Predicate>
size_t LengthWhile(std::string_view text, Predicate predicate) {
  return static_cast<size_t>(std::ranges::find_if_not(text, predicate) - text.begin());
}

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// Reads the escape after a backslash at the start of `rest`; returns its length, 0 when it is none.
size_t Unescape(std::string_view rest, std::string& value) {
  if (rest.empty()) return 0;
  if (rest[0] == '"' || rest[0] == '\\') {
    value += rest[0];
    return 1;
  }
  if (rest[0] != 'x' || rest.size() < 3 || HexDigit(rest[1]) < 0 || HexDigit(rest[2]) < 0) return 0;
  value += static_cast<char>(HexDigit(rest[1]) * 16 + HexDigit(rest[2]));
  return 3;
}

}  // namespace

bool TextScanner::Fail(TextPosition position, std::string message) {
  if (!failed()) error_ = {position, std::move(message)};
  return false;
}

bool TextScanner::Expected(std::string_view what) {
  const TextPosition here = position();
  return Fail(here, fmt::format("expected {}, found {}", what, Found()));
}

std::string TextScanner::Found() {
  if (AtEnd()) return "the end of the text";
  if (AtEndOfLine()) return "the end of the line";
  const std::string_view rest = Rest();
  const size_t length = std::max<size_t>(1, LengthWhile(rest, IsWordCharacter));
  return fmt::format("'{}'", rest.substr(0, length));
}

void TextScanner::SkipSpaces() {
  while (next_ < text_.size() && (text_[next_] == ' ' || text_[next_] == '\t' || text_[next_] == '\r')) ++next_;
  if (text_.substr(next_).starts_with("//")) next_ = std::min(text_.find('\n', next_), text_.size());
}

std::string_view TextScanner::Rest() {
  SkipSpaces();
  return text_.substr(next_);
}

TextPosition TextScanner::position() {
  SkipSpaces();
  return {next_};
}

bool TextScanner::AtEnd() { return Rest().empty(); }

bool TextScanner::AtEndOfLine() {
  const std::string_view rest = Rest();
  return rest.empty() || rest[0] == '\n';
}

void TextScanner::NextLine() {
  error_ = {};
  const size_t end = text_.find('\n', next_);
  next_ = end == std::string_view::npos ? text_.size() : end + 1;
}

bool TextScanner::PeekPunctuation(std::string_view punctuation) { return !failed() && Rest().starts_with(punctuation); }

bool TextScanner::TryPunctuation(std::string_view punctuation) {
  if (!PeekPunctuation(punctuation)) return false;
  next_ += punctuation.size();
  return true;
}

bool TextScanner::Punctuation(std::string_view punctuation) {
  if (failed()) return false;
  return TryPunctuation(punctuation) || Expected(fmt::format("'{}'", punctuation));
}

std::string_view TextScanner::PeekWord() {
  const std::string_view rest = Rest();
  if (failed() || rest.empty() || !IsLetter(rest[0])) return {};
  return rest.substr(0, LengthWhile(rest, IsWordCharacter));
}

bool TextScanner::TryWord(std::string_view word) {
  if (failed() || PeekWord() != word) return false;
  next_ += word.size();
  return true;
}

bool TextScanner::Word(std::string_view what, std::string& value) {
  if (failed()) return false;
  const std::string_view word = PeekWord();
  if (word.empty()) return Expected(what);
  value = word;
  next_ += word.size();
  return true;
}

bool TextScanner::AtQuotedString() { return PeekPunctuation("\""); }

bool TextScanner::AtName() { return AtQuotedString() || (!failed() && LengthWhile(Rest(), IsNameCharacter) > 0); }

bool TextScanner::Name(std::string_view what, std::string& value) {
  if (failed()) return false;
  if (AtQuotedString()) return QuotedString(what, value);
  const std::string_view rest = Rest();
  const size_t length = LengthWhile(rest, IsNameCharacter);
  if (length == 0) return Expected(what);
  value = rest.substr(0, length);
  next_ += length;
  return true;
}

bool TextScanner::QuotedString(std::string_view what, std::string& value) {
  if (failed()) return false;
  if (!AtQuotedString()) return Expected(what);
  const TextPosition begin = position();
  value.clear();
  for (size_t i = begin.offset + 1; i < text_.size() && text_[i] != '\n'; ++i) {
    if (text_[i] == '"') {
      next_ = i + 1;
      return true;
    }
    if (text_[i] != '\\') {
      value += text_[i];
      continue;
    }
    const size_t length = Unescape(text_.substr(i + 1), value);
    if (length == 0) return Fail({i}, "unknown escape in a string; allowed are \\\", \\\\ and \\xNN");
    i += length;
  }
  return Fail(begin, "the string is not closed on its line");
}

bool TextScanner::Integer(std::string_view what, int64_t& value) {
  if (failed()) return false;
  const std::string_view rest = Rest();
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error == std::errc::result_out_of_range) return Fail(position(), fmt::format("{} does not fit 64 bits", what));
  if (error != std::errc() || (end != rest.data() + rest.size() && (*end == '.' || IsLetter(*end)))) return Expected(what);
  next_ += static_cast<size_t>(end - rest.data());
  return true;
}

size_t TextScanner::NumberLength() {
  const std::string_view rest = Rest();
  const size_t sign = !rest.empty() && rest[0] == '-' ? 1 : 0;
  const std::string_view digits = rest.substr(sign);
  for (const std::string_view word : {"inf", "nan"}) {
    if (digits.starts_with(word) && (digits.size() == 3 || !IsWordCharacter(digits[3]))) return sign + 3;
  }
  if (digits.empty() || !IsDigit(digits[0])) return 0;
  size_t length = LengthWhile(digits, [](char c) { return IsDigit(c) || c == '.'; });
  if (length < digits.size() && digits[length] == 'e') {
    const size_t after = length + 1;
    const size_t exponent_sign = after < digits.size() && (digits[after] == '-' || digits[after] == '+') ? 1 : 0;
    length = after + exponent_sign + LengthWhile(digits.substr(std::min(after + exponent_sign, digits.size())), IsDigit);
  }
  return sign + length;
}

bool TextScanner::AtNumber() { return !failed() && NumberLength() > 0; }

bool TextScanner::AtDouble() {
  if (failed()) return false;
  const std::string_view number = Rest().substr(0, NumberLength());
  return number.find_first_of(".enai") != std::string_view::npos;
}

bool TextScanner::Double(std::string_view what, double& value) {
  if (failed()) return false;
  const std::string_view number = Rest().substr(0, NumberLength());
  if (number.empty()) return Expected(what);
  if (number.ends_with("inf")) {
    value = number[0] == '-' ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  } else if (number.ends_with("nan")) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error == std::errc::result_out_of_range) return Fail(position(), fmt::format("{} does not fit a double", what));
    if (error != std::errc() || end != number.data() + number.size()) return Fail(position(), fmt::format("'{}' is not a number", number));
  }
  next_ += number.size();
  return true;
}

bool TextScanner::DataTypeName(DataType& value) {
  if (failed()) return false;
  const std::string_view word = PeekWord();
  const std::optional<DataType> type = DataTypeFromName(word);
  if (!type) return Expected("a data type (f32, bf16, f16, i64, i32, bool, u8)");
  value = *type;
  next_ += word.size();
  return true;
}

std::string QuotedText(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      quoted += fmt::format("\\x{:02x}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string NameText(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, IsNameCharacter) ? std::string(name) : QuotedText(name);
}

std::string DoubleText(double value) {
  if (std::isnan(value)) return "nan";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".enai") == std::string::npos) text += ".0";
  return text;
}

std::string LocatedMessage(std::string_view text, std::string_view file, const TextError& error) {
  const auto source = std::make_shared<const SourceText>(std::string(file), text);
  return RenderError(LocationOfOffset(source, text, error.position.offset), error.message);
}

}  // namespace helm::ir
