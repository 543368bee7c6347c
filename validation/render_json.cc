#include "validation/render.h"

namespace helm::validation {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchemaVersion = 1;

Json MeasuredToJson(const Row& row) {
  Json memory;  // null: not published
  if (!row.measured.memory.empty()) {
    for (const MeasuredMemory& item : row.measured.memory) memory[std::string(Name(item.kind)) + "_gib"] = item.gib;
    memory["kind"] = Name(row.measured.memory.front().kind);
  }
  Json json;
  json["step_time_s"] = row.measured.step_time_s ? Json(*row.measured.step_time_s) : Json();
  json["peak_memory"] = memory;
  if (row.measured.out_of_memory) json["out_of_memory"] = true;
  return json;
}

// `group`: the same for rows that differ only in the strategy.
Json RowToJson(const Row& row, const Outcome& outcome, size_t group) {
  Json error;
  error["step_time"] = outcome.step_time_error ? Json(*outcome.step_time_error) : Json();
  error["peak_memory"] = outcome.memory_errors.empty() ? Json() : Json(outcome.memory_errors.front().error);
  Json json = {{"id", row.id},
               {"source", row.source},
               {"predicted", outcome.prediction->document},
               {"measured", MeasuredToJson(row)},
               {"error", error}};
  json["kind"] = outcome.prediction->run_kind;
  json["group"] = group;
  json["strategy"] = ToJson(row.strategy);
  if (!outcome.notes.empty()) json["notes"] = outcome.notes;
  return json;
}

}  // namespace

Json RenderJson(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes) {
  Json predicted = Json::array();
  Json skipped = Json::array();
  std::map<std::string, size_t> groups;  // by key, numbered as they first occur
  for (const Outcome& outcome : outcomes) {
    const Row& row = rows[outcome.row];
    if (outcome.prediction) {
      predicted.push_back(RowToJson(row, outcome, groups.try_emplace(GroupKey(row), groups.size()).first->second));
    } else {
      skipped.push_back({{"id", row.id}, {"source", row.source}, {"reason", outcome.reason}});
    }
  }
  Json by_source = Json::object();
  for (const auto& [source, summary] : SummariesBySource(rows, outcomes)) by_source[source] = ToJson(summary);
  return {{"schema_version", kSchemaVersion},
          {"rows", predicted},
          {"summary", ToJson(Summarise(rows, outcomes))},
          {"by_source", by_source},
          {"skipped", skipped}};
}

}  // namespace helm::validation
