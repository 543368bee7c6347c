#include "config/plan_overrides.h"

#include <algorithm>
#include <string_view>

#include "cluster/cluster_reader.h"
#include "config/overrides.h"
#include "config/sections.h"
#include "ir/software_text.h"
#include "model/model_reader.h"

namespace helm::config {
namespace {

constexpr const char* kFolder = ".";
constexpr const char* kFile = "--set";  // named where what was read back is wrong

bool IsReference(const YamlValue& value) { return value.is_scalar() || value.Find("preset") != nullptr; }

bool Sets(const std::vector<std::string>& overrides, std::string_view key) {
  return std::ranges::any_of(overrides, [key](const std::string& override) {
    return override.starts_with(key) && (override.size() > key.size() && (override[key.size()] == '=' || override[key.size()] == '.'));
  });
}

bool Replaces(const std::vector<std::string>& overrides, const std::string& key) {
  return std::ranges::any_of(overrides, [&](const std::string& override) { return override.starts_with(key + "="); });
}

void Forget(const char* key, YamlValue& mapping) {
  std::erase_if(mapping.entries, [key](const YamlEntry& entry) { return entry.key == key; });
}

// A framework that is named brings its switches: those that the plan has are another's.
void ForgetSwitches(const std::vector<std::string>& overrides, YamlValue& document) {
  YamlValue* const software = document.Find("software");
  if (software != nullptr && Sets(overrides, "software.framework")) software->entries.clear();
}

void ForgetWhatFollows(const std::vector<std::string>& overrides, YamlValue& cluster) {
  const bool nodes = Sets(overrides, "cluster.nodes") || Sets(overrides, "cluster.gpus_per_node");
  if (nodes && !Sets(overrides, "cluster.gpus")) Forget("gpus", cluster);
  const bool other = nodes || Sets(overrides, "cluster.gpus") || Sets(overrides, "cluster.gpu");
  if (other && !Sets(overrides, "cluster.name")) Forget("name", cluster);
}

void WriteOutModel(const ConfigContext& context, YamlValue& document, Diagnostics& diagnostics) {
  YamlValue* const model = document.Find("model");
  if (model == nullptr || !IsReference(*model)) return;
  if (const auto read = model::ReadModel(*model, {context.presets, kFolder}, diagnostics)) *model = FromJson(ToJson(*read), kFile);
}

void WriteOutCluster(const ConfigContext& context, YamlValue& document, Diagnostics& diagnostics) {
  YamlValue* const cluster = document.Find("cluster");
  if (cluster == nullptr) return;
  const auto read = cluster::ReadCluster(*cluster, {context.presets, kFolder, context.machine}, diagnostics);
  if (read) *cluster = FromJson(ToJson(*read), kFile);
}

// With the switches of its framework.
void WriteOutSoftware(const ConfigContext& context, YamlValue& document, Diagnostics& diagnostics) {
  YamlValue* const software = document.Find("software");
  const YamlValue* cluster = document.Find("cluster");
  if (software == nullptr || !software->is_mapping()) return;
  const bool local = cluster != nullptr && cluster->Find("local") != nullptr;
  *software = FromJson(ToJson(ReadSoftware(software, local, {context.presets, kFolder}, diagnostics)), kFile);
}

}  // namespace

Status OverridePlan(const std::vector<std::string>& overrides, const ConfigContext& context, YamlValue& document) {
  Diagnostics diagnostics;
  ForgetSwitches(overrides, document);
  for (const std::string& override : overrides) ApplyOverride(override, document, diagnostics);
  HELM_RETURN_IF_ERROR(diagnostics.ToStatus());
  if (YamlValue* cluster = document.Find("cluster")) ForgetWhatFollows(overrides, *cluster);
  WriteOutModel(context, document, diagnostics);
  if (Sets(overrides, "cluster")) WriteOutCluster(context, document, diagnostics);
  if (Sets(overrides, "software.framework") || Replaces(overrides, "software")) WriteOutSoftware(context, document, diagnostics);
  return diagnostics.ToStatus();
}

}  // namespace helm::config
