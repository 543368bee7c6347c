#include "config/overrides.h"

#include <charconv>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "core/text.h"

namespace helm::config {
namespace {

void Relocate(YamlValue& value, const Location& where) {
  value.where = where;
  for (YamlValue& item : value.items) Relocate(item, where);
  for (YamlEntry& entry : value.entries) {
    entry.key_where = where;
    Relocate(entry.value, where);
  }
}

YamlValue EmptyMapping(const Location& where) {
  YamlValue value;
  value.kind = YamlKind::kMapping;
  value.where = where;
  return value;
}

// The entry of a key, made with a null value if the mapping has none.
YamlEntry& EntryOf(YamlValue& mapping, const std::string& key, const Location& where) {
  for (YamlEntry& entry : mapping.entries) {
    if (entry.key == key) return entry;
  }
  return mapping.entries.emplace_back(YamlEntry{key, where, {}});
}

// The item of a list by its number, from 0; null where it has none.
YamlValue* ItemOf(YamlValue& list, const std::string& number) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), index);
  const bool whole = error == std::errc() && end == number.data() + number.size();
  return whole && index < list.items.size() ? &list.items[index] : nullptr;
}

// `at` is what the first `depth` parts of the path name.
void ReportNothingToSet(const YamlValue& at, const std::vector<std::string>& path, size_t depth, const Location& where,
                        Diagnostics& diagnostics) {
  const std::string name = Join({path.begin(), path.begin() + static_cast<std::ptrdiff_t>(depth)}, ".");
  if (at.is_sequence()) {
    diagnostics.Error(where,
                      fmt::format("'{}' is a list of {}, and '{}' is the number of none of them", name, at.items.size(), path[depth]),
                      {at.items.empty() ? "fix: write the list in the file" : fmt::format("allowed: 0 to {}", at.items.size() - 1)});
    return;
  }
  diagnostics.Error(where, fmt::format("'{}' is no mapping in the file, so nothing can be set in it", name),
                    {fmt::format("fix: write '{}' inline in the file, or set it as a whole: --set '{}={{...}}'", name, name)});
}

// What a preset's name or a file may stand for: keys of it can be replaced (core/preset.h).
bool IsReference(const std::string& key) { return key == "model" || key == "cluster" || key == "gpu"; }

void NameAsPreset(YamlValue& value, const Location& where) {
  YamlValue mapping = EmptyMapping(where);
  mapping.entries.push_back({"preset", value.where, value});
  value = std::move(mapping);
}

bool IsKey(const std::string& part) { return !part.empty() && part.find_first_of(" \t[]{}:#,\"'") == std::string::npos; }

}  // namespace

void ApplyOverride(const std::string& override, YamlValue& document, Diagnostics& diagnostics) {
  const Location where{std::make_shared<const SourceText>(fmt::format("--set {}", override), ""), 0, 0};
  const size_t equals = override.find('=');
  const std::vector<std::string> path = Split(override.substr(0, equals), '.');
  for (const std::string& part : path) {
    if (equals != std::string::npos && IsKey(part)) continue;
    diagnostics.Error(where, "this is not key=value", {"fix: write a key of the configuration, for example --set strategy.tensor=2"});
    return;
  }
  Result<YamlValue> value = ParseYaml(override.substr(equals + 1), fmt::format("--set {}", override));
  if (!value.ok()) {
    diagnostics.Add(value.status());
    return;
  }
  YamlValue* at = &document;
  for (size_t i = 0; i < path.size(); ++i) {
    YamlEntry* const entry = at->is_mapping() ? &EntryOf(*at, path[i], where) : nullptr;
    YamlValue* const next = entry != nullptr ? &entry->value : at->is_sequence() ? ItemOf(*at, path[i]) : nullptr;
    if (next == nullptr) return ReportNothingToSet(*at, path, i, where, diagnostics);
    at = next;
    if (i + 1 == path.size()) {
      if (entry != nullptr) entry->key_where = where;
      break;
    }
    if (at->is_null()) *at = EmptyMapping(where);
    if (at->is_scalar() && IsReference(path[i])) NameAsPreset(*at, where);
  }
  *at = std::move(value).value();
  Relocate(*at, where);
}

}  // namespace helm::config
