#include "core/diagnostics.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace helm {
namespace {

constexpr size_t kLineWidthMax = 160;  // a longer source line (a JSON file without line breaks) is shown around the column only

// The source line and a caret under the column, both cut to a window that holds the column.
std::string Excerpt(const Location& where) {
  std::string line(where.source->line(where.line));
  size_t column = std::min(static_cast<size_t>(std::max(where.column, 1)) - 1, line.size());
  if (line.size() > kLineWidthMax) {
    const size_t start = column > kLineWidthMax / 2 ? column - kLineWidthMax / 2 : 0;
    line = line.substr(start, kLineWidthMax);
    column -= start;
  }
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  // Continuation bytes of UTF-8 take no column on the screen.
  const auto columns = std::count_if(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(column),
                                     [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  return fmt::format("\n{:>5} | {}\n      | {}^", where.line, line, std::string(static_cast<size_t>(columns), ' '));
}

bool HasLine(const Location& where) { return where.source != nullptr && where.line >= 1; }

}  // namespace

SourceText::SourceText(std::string file, std::string_view text) : file_(std::move(file)), lines_(Split(text, '\n')) {}

std::string_view SourceText::line(int number) const {
  if (number < 1 || number > line_count()) return {};
  return lines_[static_cast<size_t>(number) - 1];
}

std::string Location::ToString() const {
  if (source == nullptr) return "";
  if (line < 1) return source->file();
  return fmt::format("{}:{}:{}", source->file(), line, column);
}

Location LocationOfOffset(std::shared_ptr<const SourceText> source, std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto newlines = std::count(before.begin(), before.end(), '\n');
  const size_t line_start = newlines == 0 ? 0 : before.rfind('\n') + 1;
  return {std::move(source), static_cast<int>(newlines) + 1, static_cast<int>(before.size() - line_start) + 1};
}

std::string RenderError(const Location& where, std::string_view message, const std::vector<std::string>& notes) {
  const std::string place = where.ToString();
  std::string text = place.empty() ? fmt::format("error: {}", message) : fmt::format("{}: error: {}", place, message);
  if (HasLine(where)) text += Excerpt(where);
  for (const std::string& note : notes) text += fmt::format("\n  {}", note);
  return text;
}

void Diagnostics::Error(const Location& where, std::string message, std::vector<std::string> notes) {
  problems_.push_back({where, std::move(message), std::move(notes)});
}

void Diagnostics::Add(const Status& status) {
  if (status.ok()) return;
  problems_.push_back({{}, status.message(), {}, status.code(), true});
}

Status Diagnostics::ToStatus() const {
  if (ok()) return OkStatus();
  std::vector<const SourceText*> files;
  const auto file_order = [&files](const SourceText* source) {
    const auto found = std::find(files.begin(), files.end(), source);
    if (found != files.end()) return found - files.begin();
    files.push_back(source);
    return static_cast<std::ptrdiff_t>(files.size()) - 1;
  };
  std::vector<std::pair<std::tuple<std::ptrdiff_t, int, int>, std::string>> rendered;
  std::unordered_set<std::string> texts_seen;
  bool unavailable = true;
  for (const Problem& problem : problems_) {
    const std::string text = problem.rendered ? problem.message : RenderError(problem.where, problem.message, problem.notes);
    const std::tuple order(file_order(problem.where.source.get()), problem.where.line, problem.where.column);
    if (texts_seen.insert(text).second) rendered.emplace_back(order, text);
    unavailable = unavailable && problem.code == StatusCode::kUnavailable;
  }
  std::stable_sort(rendered.begin(), rendered.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> texts;
  for (auto& [order, text] : rendered) texts.push_back(std::move(text));
  return {unavailable ? StatusCode::kUnavailable : StatusCode::kInvalid, Join(texts, "\n")};
}

}  // namespace helm
