#include "exporter/toml.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.h"

namespace helm::exporter {

void TomlSections::Add(const std::string& section, const std::string& key, int64_t value) { AddRaw(section, key, std::to_string(value)); }
void TomlSections::Add(const std::string& section, const std::string& key, double value) { AddRaw(section, key, FormatDouble(value)); }
void TomlSections::AddText(const std::string& section, const std::string& key, const std::string& value) {
  AddRaw(section, key, '"' + value + '"');
}
void TomlSections::AddRaw(const std::string& section, const std::string& key, const std::string& value) {
  entries_.push_back({section, key, value});
}

std::string TomlSections::ToText() const {
  std::string text, section;
  for (const Entry& entry : entries_) {
    if (entry.section != section) text += fmt::format("\n[{}]\n", entry.section);
    section = entry.section;
    text += fmt::format("{} = {}\n", entry.key, entry.value);
  }
  return text;
}

Result<TomlSections> TomlSections::Parse(std::string_view text) {
  TomlSections sections;
  std::string section;
  for (const std::string& line : Split(text, '\n')) {
    const std::string_view content = Trim(line);
    if (content.empty() || content.front() == '#') continue;
    if (content.front() == '[' && content.back() == ']') {
      section = content.substr(1, content.size() - 2);
      continue;
    }
    const size_t equals = content.find('=');
    if (equals == std::string_view::npos) return InvalidError(fmt::format("error: '{}' is no `key = value`", content));
    sections.AddRaw(section, std::string(Trim(content.substr(0, equals))), std::string(Trim(content.substr(equals + 1))));
  }
  return sections;
}

std::optional<std::string> TomlSections::TakeRaw(const std::string& section, const std::string& key) {
  const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) { return entry.section == section && entry.key == key; });
  if (found == entries_.end()) return std::nullopt;
  std::string value = found->value;
  entries_.erase(found);
  return value;
}

std::string TomlSections::TakeText(const std::string& section, const std::string& key, const std::string& fallback) {
  const std::optional<std::string> raw = TakeRaw(section, key);
  if (!raw) return fallback;
  if (raw->size() >= 2 && raw->front() == '"' && raw->back() == '"') return raw->substr(1, raw->size() - 2);
  problems_.push_back(fmt::format("{}.{} needs a text in quotes, found {}", section, key, *raw));
  return fallback;
}

int64_t TomlSections::TakeInt(const std::string& section, const std::string& key, int64_t fallback) {
  const std::optional<std::string> raw = TakeRaw(section, key);
  if (!raw) return fallback;
  const std::optional<int64_t> number = ParseInt64(*raw);
  if (!number) problems_.push_back(fmt::format("{}.{} needs a whole number, found {}", section, key, *raw));
  return number.value_or(fallback);
}

double TomlSections::TakeDouble(const std::string& section, const std::string& key, double fallback) {
  const std::optional<std::string> raw = TakeRaw(section, key);
  if (!raw) return fallback;
  const std::optional<double> number = ParseDouble(*raw);
  if (!number) problems_.push_back(fmt::format("{}.{} needs a number, found {}", section, key, *raw));
  return number.value_or(fallback);
}

Status TomlSections::Finish() const {
  std::vector<std::string> lines = problems_;
  for (const Entry& entry : entries_) lines.push_back(fmt::format("{}.{} is not known here, or given twice", entry.section, entry.key));
  return lines.empty() ? OkStatus() : InvalidError("error: " + Join(lines, "\nerror: "));
}

}  // namespace helm::exporter
