#include "config/framework.h"

#include <fmt/format.h>

#include "core/mapping_reader.h"
#include "ir/software_text.h"

namespace helm::config {
namespace {

constexpr const char* kFormat = "helm-framework/1";
constexpr int kExtendsMax = 4;  // a chain that is longer goes in a circle

// One switch: {is: value, where: "place"}.
void ReadEntry(MappingReader& switches, const std::string& key, ir::Software& software) {
  const YamlValue* value = switches.Value(key);
  if (value == nullptr) return;
  MappingReader entry(*value, fmt::format("'{}'", key), switches.diagnostics());
  if (const YamlValue* is = entry.RequireValue("is")) ir::ReadSwitch(key, *is, software, switches.diagnostics());
  if (entry.RequireString("where").empty() && entry.Given("where")) {
    entry.Error("where", "'where' must name a place in the framework's code or documents");
  }
}

bool CheckFormat(MappingReader& reader) {
  const std::string format = reader.RequireString("format");
  if (format == kFormat || !reader.Given("format")) return reader.Given("format");
  reader.Error("format", "the format is not known", {fmt::format("allowed: {}", kFormat)});
  return false;
}

std::optional<ir::Software> ReadChain(const YamlValue& value, const FrameworkContext& context, int depth, Diagnostics& diagnostics) {
  const size_t errors_before = diagnostics.error_count();
  const auto reference = LoadReference(value, "framework", "frameworks", context.presets, context.folder, diagnostics);
  if (!reference) return std::nullopt;
  ir::Software software;
  MappingReader reader(reference->value, "the framework", diagnostics);
  if (!CheckFormat(reader)) {
    reader.AllowUnknownKeys();
    return std::nullopt;
  }
  reader.RequireString("title");
  reader.RequireString("version");
  if (const YamlValue* extended = reader.Value("extends")) {
    if (depth == kExtendsMax) {
      reader.Error("extends", "'extends' goes in a circle");
      return std::nullopt;
    }
    software = ReadChain(*extended, {context.presets, reference->folder}, depth + 1, diagnostics).value_or(software);
  }
  if (const YamlValue* value_of_switches = reader.Value("switches")) {
    MappingReader switches(*value_of_switches, "'switches'", diagnostics);
    for (const std::string& key : ir::SoftwareKeys()) ReadEntry(switches, key, software);
  }
  reader.Finish();
  software.framework = reference->name.empty() ? "inline" : reference->name;
  if (diagnostics.error_count() > errors_before) return std::nullopt;
  return software;
}

}  // namespace

std::optional<ir::Software> ReadFramework(const YamlValue& value, const FrameworkContext& context, Diagnostics& diagnostics) {
  return ReadChain(value, context, 0, diagnostics);
}

}  // namespace helm::config
