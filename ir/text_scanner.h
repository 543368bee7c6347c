// TextScanner: reads the words, numbers and punctuation of HELM's own text forms (programs, op signatures), remembering line and column.
//
// Not a tokeniser run ahead of time: the parser asks for what it expects, and the first thing that is not so becomes the one error of the
// statement. After an error every further read fails without effect, so that parsers need not check each step. Never aborts, whatever the
// text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ir/data_type.h"

namespace helm::ir {

struct TextPosition {
  size_t offset = 0;  // of the byte in the text
};

// What was wrong and where; `message` is empty when nothing was.
struct TextError {
  TextPosition position;
  std::string message;
};

class TextScanner {
 public:
  explicit TextScanner(std::string_view text) : text_(text) {}

  bool failed() const { return !error_.message.empty(); }
  const TextError& error() const { return error_; }
  // Records the statement's error, unless there is one already. Always returns false.
  bool Fail(TextPosition position, std::string message);
  // Fails with "expected WHAT, found ..." at the next token.
  bool Expected(std::string_view what);

  // The next token, spaces and comments skipped (not line ends).
  TextPosition position();
  bool AtEndOfLine();  // or of the text
  bool AtEnd();
  // Leaves the error behind and goes to the start of the next line.
  void NextLine();

  bool TryPunctuation(std::string_view punctuation);
  bool Punctuation(std::string_view punctuation);
  bool PeekPunctuation(std::string_view punctuation);
  // A word is [A-Za-z_][A-Za-z0-9_.-]* ; PeekWord gives an empty one when the next token is none.
  std::string_view PeekWord();
  bool TryWord(std::string_view word);
  bool Word(std::string_view what, std::string& value);
  // A name is [A-Za-z0-9_.]+ or a quoted string.
  bool AtName();
  bool Name(std::string_view what, std::string& value);
  bool QuotedString(std::string_view what, std::string& value);
  bool AtQuotedString();
  bool Integer(std::string_view what, int64_t& value);
  // Numbers of type double are told from integers by a point, an exponent, `inf` or `nan`.
  bool AtNumber();
  bool AtDouble();
  bool Double(std::string_view what, double& value);
  bool DataTypeName(DataType& value);

 private:
  void SkipSpaces();
  std::string_view Rest();
  size_t NumberLength();
  std::string Found();

  std::string_view text_;
  size_t next_ = 0;
  TextError error_;
};

// `name` if it is one, else quoted. A quoted string escapes `"`, `\` and every byte outside printable ASCII (as \xNN).
std::string NameText(std::string_view name);
std::string QuotedText(std::string_view text);
// The shortest text that reads back to the same double, and is never taken for an integer.
std::string DoubleText(double value);

// The error with file, line, column, and a caret below the line (core/diagnostics.h).
std::string LocatedMessage(std::string_view text, std::string_view file, const TextError& error);

}  // namespace helm::ir
