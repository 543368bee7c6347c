#include <array>
#include <string>
#include <utility>
#include <vector>

#include "report/compare.h"

namespace helm::report {
namespace {

using nlohmann::ordered_json;

constexpr int kSchemaVersion = 1;

// Divided, not multiplied by 1e-12: the nearest double to the decimal number, so it prints as one.
double Seconds(Duration duration) { return static_cast<double>(duration.picoseconds()) / 1e12; }

ordered_json ErrorJson(std::optional<double> error) { return error ? ordered_json(*error) : ordered_json(nullptr); }

ordered_json BreakdownJson(const Breakdown& breakdown) {
  return {{"compute", Seconds(breakdown.compute)},
          {"exposed_communication", Seconds(breakdown.exposed_communication)},
          {"bubble", Seconds(breakdown.bubble)},
          {"optimizer", Seconds(breakdown.optimizer)},
          {"host", Seconds(breakdown.host)}};
}

ordered_json MemoryJson(const Summary& summary) {
  ordered_json by_category = ordered_json::object();
  for (size_t role = 0; role < ir::kStorageRoles; ++role) {
    by_category[std::string(ir::Name(static_cast<ir::StorageRole>(role)))] = summary.memory_at_peak[role];
  }
  return {{"allocated_bytes", summary.memory_bytes_peak.count()}, {"rank", summary.memory_rank}, {"by_category", std::move(by_category)}};
}

ordered_json RanksJson(const std::vector<RankUse>& uses) {
  ordered_json ranks = ordered_json::array();
  for (const RankUse& use : uses) {
    ranks.push_back({{"rank", use.rank},
                     {"stage", use.stage},
                     {"step_time_s", Seconds(use.makespan)},
                     {"compute_busy_s", Seconds(use.compute_busy)},
                     {"communication_busy_s", Seconds(use.communication_busy)},
                     {"idle_s", Seconds(use.idle)},
                     {"breakdown_s", BreakdownJson(use.breakdown)},
                     {"allocated_bytes", use.memory_bytes_peak.count()}});
  }
  return ranks;
}

ordered_json SummaryJson(const Summary& summary) {
  ordered_json steps = ordered_json::array();
  for (Duration step : summary.steps) steps.push_back(Seconds(step));
  const CriticalPath& path = summary.critical_path;
  return {
      {"title", summary.title},
      {"plan", summary.plan},
      {"device", summary.device},
      {"program_hash", summary.program_hash},
      {"step_time_s", Seconds(summary.makespan)},
      {"steps_s", std::move(steps)},
      {"peak_memory", MemoryJson(summary)},
      {"breakdown_s", BreakdownJson(summary.breakdown)},
      {"critical_path_s",
       {{"rank", path.rank},
        {"compute", Seconds(path.compute)},
        {"communication", Seconds(path.communication)},
        {"host", Seconds(path.host)}}},
      {"sources",
       {{"measured", summary.sources.measured}, {"interpolated", summary.sources.interpolated}, {"analytic", summary.sources.analytic}}},
      {"ranks", RanksJson(summary.ranks)}};
}

ordered_json CategoriesJson(const std::vector<CategoryRow>& rows) {
  ordered_json categories = ordered_json::array();
  for (const CategoryRow& row : rows) {
    categories.push_back({{"name", row.name},
                          {"ops", row.ops},
                          {"predicted_s", Seconds(row.duration.predicted)},
                          {"measured_s", Seconds(row.duration.measured)},
                          {"error", ErrorJson(RelativeError(row.duration.predicted, row.duration.measured))}});
  }
  return categories;
}

ordered_json IdJson(ir::OpId op) { return op.valid() ? ordered_json(op.value) : ordered_json(nullptr); }

// Only the sides that the op is in.
ordered_json OpJson(const OpRow& row) {
  ordered_json op = {{"op", IdJson(row.op.predicted.valid() ? row.op.predicted : row.op.measured)}};
  if (row.op.predicted.valid() && row.op.measured.valid() && row.op.predicted != row.op.measured) op["measured_op"] = row.op.measured.value;
  op.update({{"target", row.what.target},
             {"label", row.what.label},
             {"kind", row.what.kind},
             {"phase", row.what.phase},
             {"layer", row.what.layer},
             {"micro_batch", row.what.micro_batch},
             {"source", row.what.source}});
  if (row.op.predicted.valid()) op["predicted_s"] = Seconds(row.duration.predicted);
  if (row.op.measured.valid()) op["measured_s"] = Seconds(row.duration.measured);
  if (row.op.predicted.valid() && row.op.measured.valid())
    op["error"] = ErrorJson(RelativeError(row.duration.predicted, row.duration.measured));
  return op;
}

ordered_json OpsJson(const std::vector<OpRow>& rows) {
  ordered_json ops = ordered_json::array();
  for (const OpRow& row : rows) ops.push_back(OpJson(row));
  return ops;
}

ordered_json AttributionJson(const Attribution& attribution) {
  ordered_json categories = ordered_json::array();
  for (const AttributionRow& row : attribution.categories) {
    categories.push_back({{"category", row.category},
                          {"predicted_s", Seconds(row.on_path.predicted)},
                          {"measured_s", Seconds(row.on_path.measured)},
                          {"difference_s", Seconds(row.difference())}});
  }
  ordered_json ops = ordered_json::array();
  for (const AttributionRow& row : attribution.ops) {
    ops.push_back({{"category", row.category},
                   {"predicted_op", IdJson(row.op.predicted)},
                   {"measured_op", IdJson(row.op.measured)},
                   {"target", row.what.target},
                   {"label", row.what.label},
                   {"phase", row.what.phase},
                   {"layer", row.what.layer},
                   {"micro_batch", row.what.micro_batch},
                   {"predicted_s", Seconds(row.on_path.predicted)},
                   {"measured_s", Seconds(row.on_path.measured)},
                   {"difference_s", Seconds(row.difference())}});
  }
  return {{"difference_s", Seconds(attribution.difference)}, {"categories", std::move(categories)}, {"ops", std::move(ops)}};
}

ordered_json StageUseJson(const StageUse& use) {
  if (use.ranks == 0) return nullptr;
  return {{"ranks", use.ranks},
          {"step_time_s", Seconds(use.makespan)},
          {"compute_busy_s", Seconds(use.compute_busy)},
          {"exposed_communication_s", Seconds(use.exposed_communication)},
          {"bubble_s", Seconds(use.bubble)},
          {"allocated_bytes", use.memory_bytes_peak.count()}};
}

ordered_json StagesJson(const std::vector<Sides<StageUse>>& stages) {
  ordered_json rows = ordered_json::array();
  for (size_t stage = 0; stage < stages.size(); ++stage) {
    rows.push_back(
        {{"stage", stage}, {"predicted", StageUseJson(stages[stage].predicted)}, {"measured", StageUseJson(stages[stage].measured)}});
  }
  return rows;
}

}  // namespace

ordered_json RenderJson(const Comparison& comparison) {
  return {{"schema_version", kSchemaVersion},
          {"predicted", SummaryJson(comparison.sides.predicted)},
          {"measured", SummaryJson(comparison.sides.measured)},
          {"error", {{"step_time", ErrorJson(comparison.step_time_error)}, {"peak_memory", ErrorJson(comparison.peak_memory_error)}}},
          {"attribution", AttributionJson(comparison.attribution)},
          {"stages", StagesJson(comparison.stages)},
          {"matched_by", comparison.matched_by_id ? "id" : "name"},
          {"categories",
           {{"target", CategoriesJson(comparison.by_target)},
            {"label", CategoriesJson(comparison.by_label)},
            {"phase", CategoriesJson(comparison.by_phase)},
            {"kind", CategoriesJson(comparison.by_kind)}}},
          {"ops", OpsJson(comparison.rows)},
          {"unmatched", {{"predicted", OpsJson(comparison.predicted_only)}, {"measured", OpsJson(comparison.measured_only)}}}};
}

}  // namespace helm::report
