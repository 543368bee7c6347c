#include "report/attribution.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "ir/timeline_ranks.h"

namespace helm::report {
namespace {

using ir::OpId;
using ir::Stream;

constexpr std::string_view kBeyond = "beyond the path";

std::string_view CategoryOf(const ir::Timeline& timeline, const PathStep& step) {
  if (!step.op.valid()) return "gap";
  const ir::TimelineOp& op = timeline.ops[step.op.index()];
  const Stream::Kind kind = timeline.streams[static_cast<size_t>(step.stream)].kind;
  if (kind == Stream::Kind::kCommunication) return ir::IsTransfer(op) ? "message" : "collective";
  if (op.kind == "wait") return "wait";
  if (kind == Stream::Kind::kCompute && op.kind == "compute") return op.phase == "optimizer" ? "optimizer" : "compute";
  return "host";
}

using Key = std::tuple<std::string_view, OpId, OpId>;  // category; op predicted, measured
using Shares = std::map<Key, AttributionRow>;

// Adds a path; `pair_of` finds the ids of an op on both sides.
void AddPath(const ir::Timeline& timeline, const CriticalPath& path, const std::function<Sides<OpId>(OpId)>& pair_of,
             Duration Sides<Duration>::* side, Shares& shares) {
  for (const PathStep& step : path.steps) {
    const std::string_view category = CategoryOf(timeline, step);
    const Sides<OpId> pair = step.op.valid() ? pair_of(step.op) : Sides<OpId>();
    AttributionRow& row = shares[{category, pair.predicted, pair.measured}];
    row.category = category;
    row.op = pair;
    if (step.op.valid()) row.what = timeline.ops[step.op.index()];
    row.on_path.*side += step.end - step.start;
  }
  AttributionRow& beyond = shares[{kBeyond, OpId(), OpId()}];
  beyond.category = kBeyond;
  beyond.on_path.*side = timeline.makespan - (path.steps.empty() ? Duration() : path.steps.back().end);
}

std::vector<AttributionRow> SumByCategory(const Shares& shares) {
  std::vector<AttributionRow> rows;
  for (std::string_view name : CategoryNames()) {
    AttributionRow sum;
    sum.category = name;
    for (const auto& [key, row] : shares) {
      if (row.category != name) continue;
      sum.on_path.predicted += row.on_path.predicted;
      sum.on_path.measured += row.on_path.measured;
    }
    if (sum.on_path != Sides<Duration>()) rows.push_back(std::move(sum));
  }
  return rows;
}

std::vector<PathWorkRow> SumByWork(const Shares& shares) {
  std::map<std::pair<std::string, Work>, WorkRow> by_work;
  for (const auto& [key, share] : shares) {
    const auto& [predicted, measured] = share.op;
    if (!predicted.valid() && !measured.valid()) continue;
    WorkRow& row = by_work[{share.category, Work{share.what.label, share.what.target, share.what.phase}}];
    row.ops.predicted += share.on_path.predicted > Duration() ? 1 : 0;
    row.ops.measured += share.on_path.measured > Duration() ? 1 : 0;
    row.duration.predicted += share.on_path.predicted;
    row.duration.measured += share.on_path.measured;
  }
  std::vector<PathWorkRow> rows;
  for (auto& [key, row] : by_work) {
    row.work = key.second;
    rows.push_back({key.first, std::move(row)});
  }
  std::ranges::stable_sort(rows, std::greater<>(), [](const PathWorkRow& row) { return std::abs(row.row.difference().picoseconds()); });
  return rows;
}

}  // namespace

const std::vector<std::string_view>& CategoryNames() {
  static const std::vector<std::string_view> kNames = {"compute", "optimizer", "collective", "message", "wait", "host", "gap", kBeyond};
  return kNames;
}

Attribution Attribute(const Sides<const ir::Timeline*>& timelines, const Sides<const CriticalPath*>& paths, const Match& match) {
  std::map<OpId, OpId> measured_of, predicted_of;
  for (const Sides<OpId>& pair : match.pairs) {
    measured_of[pair.predicted] = pair.measured;
    predicted_of[pair.measured] = pair.predicted;
  }
  const auto find = [](const std::map<OpId, OpId>& ids, OpId op) { return ids.contains(op) ? ids.at(op) : OpId(); };
  Shares shares;
  // The predicted path last: an op of both is described by the prediction, as everywhere.
  AddPath(
      *timelines.measured, *paths.measured, [&](OpId op) { return Sides<OpId>{find(predicted_of, op), op}; }, &Sides<Duration>::measured,
      shares);
  AddPath(
      *timelines.predicted, *paths.predicted, [&](OpId op) { return Sides<OpId>{op, find(measured_of, op)}; }, &Sides<Duration>::predicted,
      shares);
  Attribution attribution;
  attribution.difference = timelines.predicted->makespan - timelines.measured->makespan;
  attribution.categories = SumByCategory(shares);
  attribution.work = SumByWork(shares);
  for (auto& [key, row] : shares) {
    if (row.op.predicted.valid() || row.op.measured.valid()) attribution.ops.push_back(std::move(row));
  }
  std::ranges::stable_sort(attribution.ops, std::greater<>(),
                           [](const AttributionRow& row) { return std::abs(row.difference().picoseconds()); });
  return attribution;
}

}  // namespace helm::report
