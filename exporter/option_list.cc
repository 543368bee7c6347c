#include "exporter/option_list.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.h"

namespace helm::exporter {
namespace {

// Blanks too: several values of one option.
bool NeedsNoQuotes(std::string_view value) {
  return value.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,+-/: ") == std::string_view::npos;
}

std::string Unquoted(std::string_view value) {
  if (value.size() >= 2 && value.front() == '\'' && value.back() == '\'') value = value.substr(1, value.size() - 2);
  return std::string(value);
}

}  // namespace

void OptionList::Add(const std::string& name, double value) { Add(name, FormatDouble(value)); }

std::string OptionList::ToText() const {
  std::string text = std::string(kArgumentsArray) + "=(\n";
  for (const auto& [name, value] : options_) {
    text += "  " + name;
    if (!value.empty()) text += NeedsNoQuotes(value) ? " " + value : " '" + value + "'";
    text += "\n";
  }
  return text + ")\n";
}

Result<OptionList> OptionList::Parse(std::string_view text) {
  const std::string begin = std::string(kArgumentsArray) + "=(\n";
  const size_t start = text.find(begin);
  const size_t end = text.find("\n)", start);
  if (start == std::string_view::npos || end == std::string_view::npos)
    return InvalidError(fmt::format("error: there is no {}...)", begin));
  OptionList list;
  const size_t first = start + begin.size();
  for (const std::string& line : Split(text.substr(first, end - first), '\n')) {
    const std::string_view option = Trim(line);
    const size_t blank = option.find(' ');
    const std::string_view value = blank == std::string_view::npos ? "" : Trim(option.substr(blank));
    list.options_.emplace_back(std::string(option.substr(0, blank)), Unquoted(value));
  }
  return list;
}

std::optional<std::string> OptionList::Take(const std::string& name) {
  const auto found = std::ranges::find(options_, name, &std::pair<std::string, std::string>::first);
  if (found == options_.end()) return std::nullopt;
  std::string value = found->second;
  options_.erase(found);
  return value;
}

int64_t OptionList::TakeInt(const std::string& name, std::optional<int64_t> fallback) {
  const std::optional<std::string> text = Take(name);
  if (!text && fallback) return *fallback;
  const std::optional<int64_t> number = text ? ParseInt64(*text) : std::nullopt;
  if (!number) problems_.push_back(text ? fmt::format("{} needs a whole number, found '{}'", name, *text) : name + " is missing");
  return number.value_or(1);
}

double OptionList::TakeDouble(const std::string& name, double fallback) {
  const std::optional<std::string> text = Take(name);
  if (!text) return fallback;
  const std::optional<double> number = ParseDouble(*text);
  if (!number) problems_.push_back(fmt::format("{} needs a number, found '{}'", name, *text));
  return number.value_or(fallback);
}

Status OptionList::Finish() const {
  std::vector<std::string> lines = problems_;
  for (const auto& [name, value] : options_) lines.push_back(fmt::format("{} is not known here, or given twice", name));
  return lines.empty() ? OkStatus() : InvalidError("error: " + Join(lines, "\nerror: "));
}

}  // namespace helm::exporter
