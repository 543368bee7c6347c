#include "report/stage_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "report/lower_median.h"

namespace helm::report {
namespace {

int32_t StagesIn(const std::vector<RankUse>& uses) {
  int32_t stages = 0;
  for (const RankUse& use : uses) stages = std::max(stages, use.stage + 1);
  return stages;
}

void AddStages(const std::vector<RankUse>& uses, StageUse Sides<StageUse>::* side, std::vector<Sides<StageUse>>& table) {
  const int32_t stages = StagesIn(uses);
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

const RankUse* Find(const std::vector<RankUse>& uses, int32_t RankUse::* member, int32_t value) {
  const auto found = std::ranges::find(uses, value, member);
  return found == uses.end() ? nullptr : &*found;
}

// A side's use for a rank: its own, or that of the rank that stands for it, given what the other side has.
std::optional<RankUse> UseFor(int32_t rank, const std::vector<RankUse>& uses, const std::vector<RankUse>& others) {
  const RankUse* found = Find(uses, &RankUse::rank, rank);
  const RankUse* other = Find(others, &RankUse::rank, rank);
  const int32_t stages = StagesIn(uses);
  if (found == nullptr && stages == 1) found = Find(uses, &RankUse::stage, 0);
  if (found == nullptr && other != nullptr && other->stage >= 0 && stages == StagesIn(others)) {
    found = Find(uses, &RankUse::stage, other->stage);
  }
  return found == nullptr ? std::nullopt : std::optional<RankUse>(*found);
}

// "'predicted' has 2 of 4 ranks: ..."; nothing where it has them all.
std::string DescribeMissing(const std::string& title, const std::vector<RankRow>& rows,
                            std::optional<RankUse> Sides<std::optional<RankUse>>::* side, bool staged) {
  int64_t own = 0, alone = 0;
  for (const RankRow& row : rows) {
    const std::optional<RankUse>& use = row.use.*side;
    own += use && use->rank == row.rank ? 1 : 0;
    alone += use ? 0 : 1;
  }
  const auto all = static_cast<int64_t>(rows.size());
  if (own == all) return "";
  std::string text = fmt::format("'{}' has {} of {} ranks", title, own, all);
  if (own + alone < all) text += staged ? ", the first of a stage stands for the others of it" : ", the first stands for the others";
  if (alone > 0) text += fmt::format(", {} {} no counterpart", alone, alone == 1 ? "has" : "have");
  return text;
}

}  // namespace

std::vector<Sides<StageUse>> StageTable(const std::vector<RankUse>& predicted, const std::vector<RankUse>& measured) {
  std::vector<Sides<StageUse>> table;
  AddStages(predicted, &Sides<StageUse>::predicted, table);
  AddStages(measured, &Sides<StageUse>::measured, table);
  return table;
}

std::vector<RankRow> RankTable(const std::vector<RankUse>& predicted, const std::vector<RankUse>& measured) {
  std::set<int32_t> ranks;
  for (const std::vector<RankUse>* uses : {&predicted, &measured}) {
    for (const RankUse& use : *uses) ranks.insert(use.rank);
  }
  std::vector<RankRow> rows;
  for (int32_t rank : ranks) rows.push_back({rank, {UseFor(rank, predicted, measured), UseFor(rank, measured, predicted)}});
  return rows;
}

std::string DescribeRankPairing(const Comparison& comparison) {
  using Uses = Sides<std::optional<RankUse>>;
  const auto& [predicted, measured] = comparison.sides;
  const std::string first = DescribeMissing(predicted.title, comparison.ranks, &Uses::predicted, StagesIn(predicted.ranks) > 1);
  const std::string second = DescribeMissing(measured.title, comparison.ranks, &Uses::measured, StagesIn(measured.ranks) > 1);
  return first + (first.empty() || second.empty() ? "" : "; ") + second;
}

}  // namespace helm::report
