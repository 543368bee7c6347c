#include "report/stage_table.h"

#include <algorithm>
#include <set>
#include <utility>

namespace helm::report {
namespace {

Duration LowerMedian(std::vector<Duration> values) {
  std::ranges::sort(values);
  return values[(values.size() - 1) / 2];
}

void AddStages(const std::vector<RankUse>& uses, StageUse Sides<StageUse>::* side, std::vector<Sides<StageUse>>& table) {
  int32_t stages = 0;
  for (const RankUse& use : uses) stages = std::max(stages, use.stage + 1);
  if (table.size() < static_cast<size_t>(stages)) table.resize(static_cast<size_t>(stages));
  for (int32_t stage = 0; stage < stages; ++stage) {
    std::vector<Duration> makespans, computes, exposed, bubbles;
    StageUse& sum = table[static_cast<size_t>(stage)].*side;
    for (const RankUse& use : uses) {
      if (use.stage != stage) continue;
      ++sum.ranks;
      makespans.push_back(use.makespan);
      computes.push_back(use.compute_busy);
      exposed.push_back(use.breakdown.exposed_communication);
      bubbles.push_back(use.breakdown.bubble);
      sum.memory_bytes_peak = std::max(sum.memory_bytes_peak, use.memory_bytes_peak);
    }
    if (sum.ranks == 0) continue;
    sum.makespan = LowerMedian(std::move(makespans));
    sum.compute_busy = LowerMedian(std::move(computes));
    sum.exposed_communication = LowerMedian(std::move(exposed));
    sum.bubble = LowerMedian(std::move(bubbles));
  }
}

// The prediction for a measured rank.
const RankUse* PredictionFor(const RankUse& measured, const std::vector<RankUse>& predicted) {
  const auto same_rank = std::ranges::find(predicted, measured.rank, &RankUse::rank);
  if (same_rank != predicted.end() && same_rank->stage == measured.stage) return &*same_rank;
  const auto same_stage = std::ranges::find(predicted, measured.stage, &RankUse::stage);
  return same_stage == predicted.end() ? nullptr : &*same_stage;
}

}  // namespace

std::vector<Sides<StageUse>> StageTable(const std::vector<RankUse>& predicted, const std::vector<RankUse>& measured) {
  std::vector<Sides<StageUse>> table;
  AddStages(predicted, &Sides<StageUse>::predicted, table);
  AddStages(measured, &Sides<StageUse>::measured, table);
  return table;
}

std::vector<RankRow> RankTable(const std::vector<RankUse>& predicted, const std::vector<RankUse>& measured) {
  std::vector<RankRow> rows;
  std::set<int32_t> used;
  for (const RankUse& use : measured) {
    RankRow row{use.rank, {std::nullopt, use}};
    if (const RankUse* prediction = PredictionFor(use, predicted)) {
      row.use.predicted = *prediction;
      used.insert(prediction->rank);
    }
    rows.push_back(row);
  }
  for (const RankUse& use : predicted) {
    if (!used.contains(use.rank)) rows.push_back({use.rank, {use, std::nullopt}});
  }
  return rows;
}

}  // namespace helm::report
