#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "core/yaml_parser.h"

namespace helm {
namespace {

// Bytes of the UTF-8 sequence that `lead` begins, 0 if it cannot begin one (RFC 3629).
size_t Utf8Length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

// Whether the second byte is in the range that excludes overlong forms, surrogates and numbers beyond U+10FFFF.
bool SecondByteFits(unsigned char lead, unsigned char second) {
  if (lead == 0xe0) return second >= 0xa0;
  if (lead == 0xed) return second <= 0x9f;
  if (lead == 0xf0) return second >= 0x90;
  if (lead == 0xf4) return second <= 0x8f;
  return true;
}

bool IsUtf8Sequence(std::string_view text, size_t at, size_t length) {
  if (length == 0 || at + length > text.size()) return false;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[at + i]) & 0xc0) != 0x80) return false;
  }
  return length == 1 || SecondByteFits(static_cast<unsigned char>(text[at]), static_cast<unsigned char>(text[at + 1]));
}

// Reports the first bad byte only: after it, columns and meaning are guesses.
bool CheckUtf8(std::string_view text, const std::shared_ptr<const SourceText>& source, Diagnostics& diagnostics) {
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const size_t length = Utf8Length(byte);
    if (!IsUtf8Sequence(text, at, length)) {
      diagnostics.Error(LocationOfOffset(source, text, at), fmt::format("byte 0x{:02x} is not UTF-8", byte),
                        {"fix: save the file as UTF-8"});
      return false;
    }
    if (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') {
      diagnostics.Error(LocationOfOffset(source, text, at), fmt::format("control character 0x{:02x}", byte), {"fix: remove it"});
      return false;
    }
    at += length;
  }
  return true;
}

void CheckLine(const std::shared_ptr<const SourceText>& source, int number, Diagnostics& diagnostics) {
  const std::string_view line = source->line(number);
  const size_t content = line.find_first_not_of(" \t\r");
  if (content == std::string_view::npos) return;
  const size_t tab = line.find('\t');
  if (tab < content) {
    diagnostics.Error({source, number, static_cast<int>(tab) + 1}, "a tab in the indentation", {"fix: indent with blanks"});
  }
  if (line[0] == '%') {
    diagnostics.Error({source, number, 1}, "YAML directives are not used here", {"fix: remove the line"});
  }
}

bool IsBlank(char c) { return c == ' ' || c == '\t'; }
bool IsLineEnd(char c) { return c == '\n' || c == '\r'; }

}  // namespace

void CheckBytes(std::string_view text, const std::shared_ptr<const SourceText>& source, Diagnostics& diagnostics) {
  if (!CheckUtf8(text, source, diagnostics)) return;
  if (text.starts_with("\xef\xbb\xbf")) {
    diagnostics.Error({source, 1, 1}, "the file begins with a byte order mark", {"fix: save it as UTF-8 without one"});
  }
  for (int line = 1; line <= source->line_count(); ++line) CheckLine(source, line, diagnostics);
}

size_t EndOfQuoted(std::string_view text, size_t start, bool over_lines) {
  const char quote = text[start];
  for (size_t at = start + 1; at < text.size() && (over_lines || !IsLineEnd(text[at])); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      if (quote == '"' || at + 1 >= text.size() || text[at + 1] != quote) return at + 1;
      ++at;  // '' is one quote
    }
  }
  return std::string_view::npos;
}

size_t EndOfBrackets(std::string_view text, size_t start, bool over_lines, size_t& culprit) {
  size_t depth = 0;
  char before = '[';  // the last character that is no blank: a quote opens a scalar only where a value or key may begin
  for (size_t at = start; at < text.size();) {
    const char c = text[at];
    if ((c == '"' || c == '\'') && std::string_view("[{,:").find(before) != std::string_view::npos) {
      culprit = at;
      at = EndOfQuoted(text, at, over_lines);
      if (at == std::string_view::npos) return at;
      before = c;
      continue;
    }
    if (c == '#' && at > 0 && (IsBlank(text[at - 1]) || IsLineEnd(text[at - 1]))) {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && --depth == 0) return at + 1;
    if (!IsBlank(c) && !IsLineEnd(c)) before = c;
    ++at;
  }
  culprit = start;
  return std::string_view::npos;
}

bool EndsWell(std::string_view text, size_t end, std::string_view delimiters) {
  size_t at = end;
  while (at < text.size() && IsBlank(text[at])) ++at;
  if (at >= text.size() || IsLineEnd(text[at])) return true;
  if (text[at] == '#') return at > end;
  return delimiters.find(text[at]) != std::string_view::npos;
}

}  // namespace helm
