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
  ordered_json json = {{"allocated_bytes", summary.memory_bytes_peak.count()}};
  if (summary.memory_bytes_reserved) json["reserved_bytes"] = summary.memory_bytes_reserved->count();
  if (summary.memory_bytes_reserved && summary.memory_bytes_outside)
    json["total_bytes"] = (*summary.memory_bytes_reserved + *summary.memory_bytes_outside).count();
  json["rank"] = summary.memory_rank;
  json["by_category"] = std::move(by_category);
  return json;
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
      {"step_time_s", Seconds(summary.step_time)},
      {"steps_s", std::move(steps)},
      {"peak_memory", MemoryJson(summary)},
      {"breakdown_s", BreakdownJson(summary.breakdown)},
      {"breakdown_rank", summary.breakdown_rank},
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
                          {"predicted_ops", row.ops.predicted},
                          {"measured_ops", row.ops.measured},
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

ordered_json SidesJson(const Sides<Duration>& sides) {
  return {{"predicted_s", Seconds(sides.predicted)},
          {"measured_s", Seconds(sides.measured)},
          {"difference_s", Seconds(sides.predicted - sides.measured)}};
}

ordered_json WorkJson(const WorkRow& row) {
  ordered_json json = {{"label", row.work.label},
                       {"target", row.work.target},
                       {"phase", row.work.phase},
                       {"predicted_ops", row.ops.predicted},
                       {"measured_ops", row.ops.measured}};
  json.update(SidesJson(row.duration));
  return json;
}

ordered_json AttributionJson(const Attribution& attribution) {
  ordered_json categories = ordered_json::array();
  for (const AttributionRow& row : attribution.categories) {
    categories.push_back({{"category", row.category}});
    categories.back().update(SidesJson(row.on_path));
  }
  ordered_json work = ordered_json::array();
  for (const PathWorkRow& row : attribution.work) {
    work.push_back({{"category", row.category}});
    work.back().update(WorkJson(row.row));
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
                   {"micro_batch", row.what.micro_batch}});
    ops.back().update(SidesJson(row.on_path));
  }
  return {{"difference_s", Seconds(attribution.difference)},
          {"categories", std::move(categories)},
          {"work", std::move(work)},
          {"ops", std::move(ops)}};
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

// The numbers of a rank stand in its summary; here is which rank is held against which, and what comes of it.
ordered_json RankPairsJson(const std::vector<RankRow>& rows) {
  ordered_json pairs = ordered_json::array();
  for (const RankRow& row : rows) {
    const auto& [predicted, measured] = row.use;
    ordered_json pair = {{"rank", row.rank},
                         {"predicted_rank", predicted ? ordered_json(predicted->rank) : ordered_json(nullptr)},
                         {"measured_rank", measured ? ordered_json(measured->rank) : ordered_json(nullptr)}};
    if (predicted && measured) {
      const Breakdown& a = predicted->breakdown;
      const Breakdown& b = measured->breakdown;
      pair["difference_s"] = {{"step_time", Seconds(predicted->makespan - measured->makespan)},
                              {"compute", Seconds(a.compute - b.compute)},
                              {"exposed_communication", Seconds(a.exposed_communication - b.exposed_communication)},
                              {"bubble", Seconds(a.bubble - b.bubble)},
                              {"optimizer", Seconds(a.optimizer - b.optimizer)},
                              {"host", Seconds(a.host - b.host)}};
      pair["error"] = {{"step_time", ErrorJson(RelativeError(predicted->makespan, measured->makespan))},
                       {"peak_memory", ErrorJson(RelativeError(predicted->memory_bytes_peak, measured->memory_bytes_peak))}};
    }
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

ordered_json WorkRowsJson(const std::vector<WorkRow>& rows) {
  ordered_json work = ordered_json::array();
  for (const WorkRow& row : rows) work.push_back(WorkJson(row));
  return work;
}

}  // namespace

ordered_json RenderJson(const Comparison& comparison) {
  return {{"schema_version", kSchemaVersion},
          {"predicted", SummaryJson(comparison.sides.predicted)},
          {"measured", SummaryJson(comparison.sides.measured)},
          {"error", {{"step_time", ErrorJson(comparison.step_time_error)}, {"peak_memory", ErrorJson(comparison.peak_memory_error)}}},
          {"attribution", AttributionJson(comparison.attribution)},
          {"stages", StagesJson(comparison.stages)},
          {"ranks", RankPairsJson(comparison.ranks)},
          {"matched_by", comparison.matched_by_id ? "id" : "name"},
          {"categories",
           {{"target", CategoriesJson(comparison.by_target)},
            {"label", CategoriesJson(comparison.by_label)},
            {"phase", CategoriesJson(comparison.by_phase)},
            {"kind", CategoriesJson(comparison.by_kind)}}},
          {"work", WorkRowsJson(comparison.work)},
          {"ops", OpsJson(comparison.rows)},
          {"unmatched", {{"predicted", OpsJson(comparison.predicted_only)}, {"measured", OpsJson(comparison.measured_only)}}}};
}

}  // namespace helm::report
