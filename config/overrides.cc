#include "config/overrides.h"

#include <memory>

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
  YamlValue* mapping = &document;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    YamlValue& next = EntryOf(*mapping, path[i], where).value;
    if (next.is_null()) next = EmptyMapping(where);
    if (next.is_scalar() && IsReference(path[i])) NameAsPreset(next, where);
    if (!next.is_mapping()) {
      const std::string name = Join({path.begin(), path.begin() + static_cast<std::ptrdiff_t>(i) + 1}, ".");
      diagnostics.Error(where, fmt::format("'{}' is no mapping in the file, so nothing can be set in it", name),
                        {fmt::format("fix: write '{}' inline in the file, or set it as a whole: --set '{}={{...}}'", name, name)});
      return;
    }
    mapping = &next;
  }
  YamlEntry& entry = EntryOf(*mapping, path.back(), where);
  entry.key_where = where;
  entry.value = std::move(value).value();
  Relocate(entry.value, where);
}

}  // namespace helm::config
