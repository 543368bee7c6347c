#include "validation/row.h"

#include <filesystem>

#include <fmt/format.h>

#include "core/check.h"
#include "core/diagnostics.h"
#include "core/file.h"
#include "core/mapping_reader.h"

namespace helm::validation {
namespace {

constexpr const char* kFormat = "helm-validation/1";

std::string TextOf(MappingReader& reader, const char* key) {
  const YamlValue* value = reader.Value(key);
  return value == nullptr || !value->is_scalar() ? "" : value->text;
}

// `{gib, kind, rank, ...}`, and the reserved memory that may stand beside it.
void ReadMemory(const YamlValue& value, Measured& measured, Diagnostics& diagnostics) {
  MappingReader reader(value, "'peak_memory'", diagnostics);
  MeasuredMemory memory;
  memory.gib = reader.RequireDouble("gib", kPositiveNumber);
  memory.kind = reader
                    .Enum<MemoryKind>("kind", {{"allocated", MemoryKind::kAllocated},
                                               {"reserved", MemoryKind::kReserved},
                                               {"device", MemoryKind::kDevice},
                                               {"unstated", MemoryKind::kUnstated}})
                    .value_or(MemoryKind::kUnstated);
  memory.rank = reader.Enum<MemoryRank>("rank", {{"first", MemoryRank::kFirst}, {"last", MemoryRank::kLast}, {"max", MemoryRank::kMax}})
                    .value_or(MemoryRank::kMax);
  measured.memory.push_back(memory);
  if (const auto reserved = reader.Double("reserved_gib", kPositiveNumber)) {
    memory.kind = MemoryKind::kReserved;
    memory.gib = *reserved;
    measured.memory.push_back(memory);
  }
  // Known, and not compared: what a source says beside the peak.
  for (const char* key : {"as_published", "unit", "by_rank_gib", "resident_gib"}) reader.Ignore(key);
}

void ReadMeasured(const YamlValue& value, Measured& measured, Diagnostics& diagnostics) {
  MappingReader reader(value, "'measured'", diagnostics);
  measured.step_time_s = reader.Double("step_time_s", kPositiveNumber);
  reader.Read("out_of_memory", measured.out_of_memory);
  if (const YamlValue* memory = reader.Value("peak_memory")) ReadMemory(*memory, measured, diagnostics);
  for (const char* key : {"step_time_from", "other_releases_s", "runs_s"}) reader.Ignore(key);
}

void ReadSections(MappingReader& reader, Row& row, Diagnostics& diagnostics) {
  for (const auto& [key, section] : {std::pair{"cluster", &row.cluster},
                                     {"model", &row.model},
                                     {"workload", &row.workload},
                                     {"strategy", &row.strategy},
                                     {"software", &row.software},
                                     {"measured", &row.published}}) {
    const YamlValue* value = reader.RequireValue(key);
    if (value == nullptr) continue;
    *section = *value;
    if (!value->is_mapping()) reader.Error(key, fmt::format("'{}' must be a mapping", key));
  }
  if (row.published.is_mapping()) ReadMeasured(row.published, row.measured, diagnostics);
}

Row ReadRow(const YamlValue& value, const std::string& source) {
  Row row;
  row.source = source;
  Diagnostics diagnostics;
  MappingReader reader(value, "the row", diagnostics);
  row.id = reader.RequireString("id");
  if (const YamlValue* title = reader.Value("source")) {
    const YamlValue* text = title->Find("title");
    row.source_title = text == nullptr ? title->text : text->text;
  }
  row.complete = reader.RequireBool("complete");
  row.missing = reader.StringList("missing").value_or(std::vector<std::string>());
  row.assumed = reader.StringList("assumed").value_or(std::vector<std::string>());
  row.notes = TextOf(reader, "notes");
  ReadSections(reader, row, diagnostics);
  reader.Finish();
  if (!diagnostics.ok()) row.problem = diagnostics.ToStatus().message();
  return row;
}

Status CheckSuite(const YamlValue& document) {
  Diagnostics diagnostics;
  MappingReader reader(document, "the suite", diagnostics);
  const std::string format = reader.RequireString("format");
  if (reader.Given("format") && format != kFormat) {
    reader.Error("format", "the format is not known", {fmt::format("allowed: {}", kFormat)});
  }
  for (const char* key : {"title", "licence", "trust", "notes"}) reader.Ignore(key);
  const YamlValue* runs = reader.RequireValue("runs");
  if (runs != nullptr && !runs->is_sequence()) reader.Error("runs", "'runs' must be a list of rows");
  reader.Finish();
  return diagnostics.ToStatus();
}

}  // namespace

std::string_view Name(MemoryKind kind) {
  switch (kind) {
    case MemoryKind::kAllocated:
      return "allocated";
    case MemoryKind::kReserved:
      return "reserved";
    case MemoryKind::kDevice:
      return "device";
    case MemoryKind::kUnstated:
      return "unstated";
  }
  HELM_CHECK(false, "a kind of memory");
}

Result<std::vector<Row>> ParseSuite(std::string_view text, const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const YamlValue document,
                        path.ends_with(".json") ? ParseLocatedJson(text, path) : ParseYaml(text, path, {.scalars_over_lines = true}));
  HELM_RETURN_IF_ERROR(CheckSuite(document));
  const std::string source = std::filesystem::path(path).stem().string();
  std::vector<Row> rows;
  for (const YamlValue& run : document.Find("runs")->items) rows.push_back(ReadRow(run, source));
  return rows;
}

Result<std::vector<Row>> ReadSuite(const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseSuite(text, path);
}

}  // namespace helm::validation
