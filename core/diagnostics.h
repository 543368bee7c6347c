// Diagnostics: collects everything that is wrong with the files of one reading, so that a person sees all of it at once.
//
// Each problem renders as
//   FILE:LINE:COLUMN: error: MESSAGE
//     12 |   tensro: 4
//        |   ^
//     note lines, e.g. "allowed: data, tensor" and "fix: ..."
// in the order of files (as first seen), lines and columns. Not for progress or logs. Thread-compatible.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace helm {

// A text and the name it has in messages. Shared by all locations in it.
class SourceText {
 public:
  SourceText(std::string file, std::string_view text);
  const std::string& file() const { return file_; }
  int line_count() const { return static_cast<int>(lines_.size()); }
  // `number` counts from 1. A number outside the text gives an empty line.
  std::string_view line(int number) const;

 private:
  std::string file_;
  std::vector<std::string> lines_;
};

// A place in a text. Lines and columns count from 1, columns in bytes; line 0 means the file as a whole, no source means nowhere (a value
// that was made by the program or given on the command line).
struct Location {
  std::shared_ptr<const SourceText> source;
  int line = 0;
  int column = 0;

  std::string ToString() const;  // "FILE:LINE:COLUMN", "FILE", or ""
};

// The place that a byte offset of `text` stands for. REQUIRES: source was made from text.
Location LocationOfOffset(std::shared_ptr<const SourceText> source, std::string_view text, size_t offset);

class Diagnostics {
 public:
  // `notes` are whole lines such as "allowed: a, b" or "fix: write 10".
  void Error(const Location& where, std::string message, std::vector<std::string> notes = {});
  // Takes over an error that another reader has already rendered. Ok adds nothing.
  void Add(const Status& status);

  bool ok() const { return problems_.empty(); }
  size_t error_count() const { return problems_.size(); }
  // Ok, or kInvalid (kUnavailable if all added ones are) with all problems rendered; two equal problems at one place are shown once.
  Status ToStatus() const;

 private:
  struct Problem {
    Location where;
    std::string message;
    std::vector<std::string> notes;
    StatusCode code = StatusCode::kInvalid;
    bool rendered = false;  // `message` is the whole text
  };
  std::vector<Problem> problems_;
};

// One problem as text, for a reader that stops at the first.
std::string RenderError(const Location& where, std::string_view message, const std::vector<std::string>& notes = {});

}  // namespace helm
