#include "config/run_config.h"

#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cluster/cluster_reader.h"
#include "config/overrides.h"
#include "config/sections.h"
#include "core/file.h"
#include "core/file_kind.h"
#include "ir/schedule_check.h"
#include "ir/strategy_text.h"
#include "model/chunks.h"
#include "model/model_reader.h"

namespace helm::config {
namespace {

std::vector<std::string> ReadCostTables(MappingReader& reader, const std::string& folder) {
  std::vector<std::string> files;
  const YamlValue* value = reader.Value("cost_tables");
  const auto names = reader.StringList("cost_tables");
  if (!names) return files;
  for (size_t i = 0; i < names->size(); ++i) {
    files.push_back(ResolvePath(folder, (*names)[i]));
    if (FileExists(files.back())) continue;
    reader.diagnostics().Error(
        value->items[i].where, fmt::format("cost table '{}' does not exist", (*names)[i]),
        {fmt::format("looked for: {}", files.back()), "fix: measure it with helm-profile; paths are relative to the file that names them"});
  }
  return files;
}

// A schedule of the user's own says how many stages and chunks there are.
void TakeDegrees(ir::Strategy& strategy, std::set<std::string>& given) {
  const auto rows = std::ssize(strategy.schedule_rows);
  if (given.insert("pipeline").second) strategy.pipeline = rows;
  if (given.insert("virtual_pipeline").second) strategy.virtual_pipeline = ir::StagesOf(strategy.schedule_rows) / rows;
}

// Shards and copies say how many data-parallel ranks there are, and that parameters are what is sharded.
void TakeSharding(ir::Strategy& strategy, std::set<std::string>& given) {
  const int64_t ranks = strategy.fsdp_shard * strategy.fsdp_replicate;
  if (given.insert("zero").second) strategy.zero = 3;
  if (given.contains("data") || ranks % strategy.context != 0) return;
  strategy.data = ranks / strategy.context;
  given.insert({"data", "context"});
}

// How many micro-batches each data-parallel rank has says how many ranks there are, and how large a micro-batch is; equally many on all are
// what a strategy has that does not name them.
void TakeShares(int64_t global_batch, ir::Strategy& strategy, std::set<std::string>& given) {
  std::vector<int64_t>& counts = strategy.micro_batches;
  const int64_t sum = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  if (given.insert("data").second) strategy.data = std::ssize(counts);
  if (!given.contains("micro_batch") && global_batch % sum == 0) {
    given.insert("micro_batch");
    strategy.micro_batch = global_batch / sum;
  }
  const bool whole = std::ssize(counts) == strategy.data && sum * strategy.micro_batch == global_batch;
  if (whole && ShareRanks(strategy).size() == 1) counts.clear();
}

// The schedule of a pipeline that names none.
ir::Strategy ReadStrategy(const YamlValue& value, const std::string& folder, RunConfig& config, Diagnostics& diagnostics) {
  ir::Strategy strategy = ir::ReadStrategy(value, &config.strategy_given, diagnostics, &folder);
  const YamlValue* overlap = value.Find("overlap");
  config.overlap_auto = overlap != nullptr && !overlap->is_null() && !config.strategy_given.contains("overlap");
  if (strategy.schedule == "csv") TakeDegrees(strategy, config.strategy_given);
  if (strategy.fsdp_shard > 0) TakeSharding(strategy, config.strategy_given);
  if (!strategy.micro_batches.empty()) TakeShares(config.workload.global_batch, strategy, config.strategy_given);
  if (strategy.pipeline > 1 && !config.strategy_given.contains("schedule"))
    strategy.schedule = strategy.virtual_pipeline > 1 ? "interleaved-1f1b" : "1f1b";
  if (model::IsFolded(strategy) && !config.strategy_given.contains("virtual_pipeline")) strategy.virtual_pipeline = 2;
  return strategy;
}

// The whole document. REQUIRES: it is a mapping.
RunConfig ReadDocument(const YamlValue& document, const std::string& path, const ConfigContext& context, Diagnostics& diagnostics) {
  RunConfig config;
  config.path = path;
  const std::string folder = FolderOf(path);
  MappingReader reader(document, "the run configuration", diagnostics);
  std::optional<model::ModelSpec> model;
  std::optional<cluster::Cluster> cluster;
  if (const YamlValue* value = reader.RequireValue("model")) model = model::ReadModel(*value, {context.presets, folder}, diagnostics);
  if (const YamlValue* value = reader.RequireValue("cluster")) {
    cluster = cluster::ReadCluster(*value, {context.presets, folder, context.machine}, diagnostics);
  }
  config.cost_tables = ReadCostTables(reader, folder);
  config.software = ReadSoftware(reader.Value("software"), !cluster || cluster->local, {context.presets, folder}, diagnostics);
  const YamlValue* workload = reader.RequireValue("workload");
  const size_t errors_before = diagnostics.error_count();
  if (workload != nullptr) config.workload = ReadWorkload(*workload, diagnostics);
  if (const YamlValue* value = reader.Value("strategy")) config.strategy = ReadStrategy(*value, folder, config, diagnostics);
  const bool sizes_known = model && cluster && workload != nullptr && diagnostics.error_count() == errors_before;
  if (const YamlValue* value = reader.Value("search")) config.search = ReadSearch(*value, diagnostics);
  if (const YamlValue* value = reader.Value("tolerance")) config.tolerance = ReadTolerance(*value, diagnostics);
  if (model) config.model = *std::move(model);
  if (cluster) config.cluster = *std::move(cluster);
  if (sizes_known) CheckMeaning(config, document, diagnostics);
  return config;
}

}  // namespace

Result<RunConfig> ParseRunConfig(std::string_view text, const std::string& path, const std::vector<std::string>& overrides,
                                 const ConfigContext& context) {
  HELM_ASSIGN_OR_RETURN(YamlValue document, ParseYaml(text, path));
  return ReadRunConfigTree(std::move(document), path, overrides, context);
}

Result<RunConfig> ReadRunConfigTree(YamlValue document, const std::string& path, const std::vector<std::string>& overrides,
                                    const ConfigContext& context) {
  Diagnostics diagnostics;
  if (!document.is_mapping()) {
    diagnostics.Error(document.where, "a run configuration must be a mapping (`key: value` lines)");
    return diagnostics.ToStatus();
  }
  if (const YamlValue* format = document.Find("format"); format != nullptr && format->is_scalar()) {
    const FileKind kind = KindOfFormat(format->text);
    std::vector<std::string> hints = {"allowed: a run configuration, which has `model`, `cluster` and `workload` and no `format`"};
    if (!kind.taker.empty()) hints.push_back("fix: " + kind.taker);
    diagnostics.Error(format->where, fmt::format("this is {}, not a run configuration", kind.name), hints);
    return diagnostics.ToStatus();
  }
  if (const YamlValue* architectures = document.Find("architectures"); architectures != nullptr && document.Find("model") == nullptr) {
    diagnostics.Error(architectures->where, "this is a model's config.json, not a run configuration",
                      {fmt::format("fix: name it in a run configuration, as `model: {}` beside `cluster` and `workload`", path)});
    return diagnostics.ToStatus();
  }
  for (const std::string& override : overrides) ApplyOverride(override, document, diagnostics);
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  RunConfig config = ReadDocument(document, path, context, diagnostics);
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  return config;
}

Result<RunConfig> ReadRunConfig(const std::string& path, const std::vector<std::string>& overrides, const ConfigContext& context) {
  HELM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseRunConfig(text, path, overrides, context);
}

}  // namespace helm::config
