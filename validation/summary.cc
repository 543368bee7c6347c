#include "validation/summary.h"

#include <algorithm>
#include <cmath>

namespace helm::validation {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kPairDifferenceMin = 0.01;

double Quantile(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<size_t>(rank, 1) - 1];
}

double MedianOf(const std::vector<double>& sorted) {
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

struct Timed {
  double predicted, measured;
  std::string strategy;
};

// Rows with both times, by what they have in common.
std::map<std::string, std::vector<Timed>> Groups(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes) {
  std::map<std::string, std::vector<Timed>> groups;
  for (const Outcome& outcome : outcomes) {
    if (!outcome.step_time_error) continue;
    const Row& row = rows[outcome.row];
    groups[GroupKey(row)].push_back({outcome.prediction->step_time_s, *row.measured.step_time_s, ToJson(row.strategy).dump()});
  }
  return groups;
}

void CountPairs(const std::vector<Timed>& group, Order& order) {
  for (size_t i = 0; i < group.size(); ++i) {
    for (size_t j = i + 1; j < group.size(); ++j) {
      const Timed& a = group[i];
      const Timed& b = group[j];
      if (a.strategy == b.strategy) continue;  // the same run on another day
      const double faster = std::min(a.measured, b.measured);
      if (std::abs(a.measured - b.measured) <= kPairDifferenceMin * faster) continue;
      ++order.pairs;
      if ((a.measured < b.measured && a.predicted < b.predicted) || (a.measured > b.measured && a.predicted > b.predicted)) ++order.right;
    }
  }
}

// The regret of the group, or nothing when it has only one strategy.
std::optional<double> RegretOf(const std::vector<Timed>& group) {
  const bool choice = std::any_of(group.begin(), group.end(), [&](const Timed& row) { return row.strategy != group[0].strategy; });
  if (!choice) return std::nullopt;
  const auto by_predicted = [](const Timed& a, const Timed& b) { return a.predicted < b.predicted; };
  const auto by_measured = [](const Timed& a, const Timed& b) { return a.measured < b.measured; };
  const double chosen = std::min_element(group.begin(), group.end(), by_predicted)->measured;
  return chosen / std::min_element(group.begin(), group.end(), by_measured)->measured - 1;
}

void CompareStrategies(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes, Summary& summary) {
  double total = 0;
  for (const auto& [key, group] : Groups(rows, outcomes)) {
    CountPairs(group, summary.order);
    const auto regret = RegretOf(group);
    if (!regret) continue;
    total += *regret;
    summary.regret.max = std::max(summary.regret.max, *regret);
    ++summary.regret.groups;
  }
  if (summary.regret.groups > 0) summary.regret.mean = total / static_cast<double>(summary.regret.groups);
}

Json ToJson(const ErrorStatistics& statistics) {
  return {{"mape", statistics.mape},   {"median", statistics.median}, {"p90", statistics.p90},
          {"worst", statistics.worst}, {"bias", statistics.bias},     {"count", statistics.count}};
}

bool IsInBand(const Row& row, const Outcome& outcome) {
  if (!outcome.step_time_error || !outcome.prediction->step_time_band_s) return false;
  const auto& [low, high] = *outcome.prediction->step_time_band_s;
  return low <= *row.measured.step_time_s && *row.measured.step_time_s <= high;
}

void Erase(Json& object, const char* key) {
  if (object.is_object()) object.erase(key);
}

}  // namespace

ErrorStatistics StatisticsOf(const std::vector<double>& errors) {
  ErrorStatistics statistics;
  if (errors.empty()) return statistics;
  std::vector<double> sizes;
  double sum = 0, sum_of_sizes = 0;
  for (const double error : errors) {
    sizes.push_back(std::abs(error));
    sum += error;
    sum_of_sizes += std::abs(error);
  }
  std::sort(sizes.begin(), sizes.end());
  const auto count = static_cast<double>(errors.size());
  return {sum_of_sizes / count, MedianOf(sizes), Quantile(sizes, 0.9), sizes.back(), sum / count, static_cast<int64_t>(errors.size())};
}

std::string GroupKey(const Row& row) {
  Json model = ToJson(row.model);
  Json software = ToJson(row.software);
  Erase(model, "padded_vocab");
  Erase(software, "optimizer_post_validation");
  return Json::array({row.source, ToJson(row.cluster), model, ToJson(row.workload), software}).dump();
}

Summary Summarise(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes) {
  Summary summary;
  std::map<std::string, int64_t> reasons;
  std::vector<double> time;
  std::vector<double> memory[kMemoryKinds];
  for (const Outcome& outcome : outcomes) {
    ++summary.rows;
    summary.complete += rows[outcome.row].complete ? 1 : 0;
    summary.predicted += outcome.prediction ? 1 : 0;
    if (!outcome.prediction) ++reasons[outcome.reason];
    if (outcome.step_time_error) time.push_back(*outcome.step_time_error);
    summary.in_band += IsInBand(rows[outcome.row], outcome) ? 1 : 0;
    for (const MemoryError& error : outcome.memory_errors) memory[static_cast<size_t>(error.kind)].push_back(error.error);
  }
  summary.skipped.assign(reasons.begin(), reasons.end());
  std::stable_sort(summary.skipped.begin(), summary.skipped.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  summary.step_time = StatisticsOf(time);
  for (size_t kind = 0; kind < kMemoryKinds; ++kind) summary.memory[kind] = StatisticsOf(memory[kind]);
  CompareStrategies(rows, outcomes, summary);
  return summary;
}

std::vector<std::pair<std::string, Summary>> SummariesBySource(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes) {
  std::vector<std::pair<std::string, std::vector<Outcome>>> sources;
  for (const Outcome& outcome : outcomes) {
    const std::string& source = rows[outcome.row].source;
    const auto same = std::find_if(sources.begin(), sources.end(), [&](const auto& entry) { return entry.first == source; });
    if (same != sources.end()) {
      same->second.push_back(outcome);
    } else {
      sources.push_back({source, {outcome}});
    }
  }
  std::vector<std::pair<std::string, Summary>> summaries;
  for (const auto& [source, part] : sources) summaries.emplace_back(source, Summarise(rows, part));
  return summaries;
}

Json ToJson(const Summary& summary) {
  Json skipped = Json::array();
  for (const auto& [reason, count] : summary.skipped) skipped.push_back({{"reason", reason}, {"count", count}});
  Json memory;
  for (size_t kind = 0; kind < kMemoryKinds; ++kind) {
    const ErrorStatistics& statistics = summary.memory[kind];
    memory[std::string(Name(static_cast<MemoryKind>(kind)))] = {
        {"mape", statistics.mape}, {"median", statistics.median}, {"count", statistics.count}};
  }
  return {{"rows", summary.rows},
          {"complete", summary.complete},
          {"predicted", summary.predicted},
          {"skipped", skipped},
          {"step_time", ToJson(summary.step_time)},
          {"order", {{"share", summary.order.share()}, {"pairs", summary.order.pairs}}},
          {"regret", {{"mean", summary.regret.mean}, {"max", summary.regret.max}, {"groups", summary.regret.groups}}},
          {"peak_memory", memory},
          {"in_band", summary.in_band}};
}

}  // namespace helm::validation
