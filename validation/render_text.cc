#include <algorithm>

#include <fmt/format.h>

#include "core/text.h"
#include "validation/render.h"

namespace helm::validation {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kReasonLengthMax = 110;

std::string Percent(double fraction) { return fmt::format("{:.2f}", 100 * fraction); }
std::string Signed(double fraction) { return fmt::format("{:+.2f}", 100 * fraction); }

std::string Line(const std::string& source, const Summary& summary) {
  const ErrorStatistics& time = summary.step_time;
  const auto or_dash = [](bool known, const std::string& text) { return known ? text : std::string("-"); };
  const bool timed = time.count > 0;
  return fmt::format(
      "{:<26} {:>5} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>8} {:>8} {:>7}\n", source, summary.complete, summary.predicted,
      or_dash(timed, Percent(time.mape)), or_dash(timed, Percent(time.median)), or_dash(timed, Percent(time.p90)),
      or_dash(timed, Percent(time.worst)), or_dash(timed, Signed(time.bias)),
      or_dash(summary.order.pairs > 0, fmt::format("{:.1f}", 100 * summary.order.share())),
      or_dash(summary.regret.groups > 0, Percent(summary.regret.mean)), or_dash(summary.regret.groups > 0, Percent(summary.regret.max)),
      or_dash(timed,
              fmt::format("{:.1f}", 100.0 * static_cast<double>(summary.in_band) / static_cast<double>(std::max<int64_t>(time.count, 1)))));
}

std::string MemoryLines(const std::vector<std::pair<std::string, Summary>>& sources, const Summary& total) {
  std::string text;
  const auto add = [&text](const std::string& source, const Summary& summary) {
    for (size_t kind = 0; kind < kMemoryKinds; ++kind) {
      const ErrorStatistics& memory = summary.memory[kind];
      if (memory.count == 0) continue;
      text += fmt::format("{:<26} {:<10} {:>5} {:>8} {:>8} {:>8} {:>8}\n", source, Name(static_cast<MemoryKind>(kind)), memory.count,
                          Percent(memory.mape), Percent(memory.median), Percent(memory.worst), Signed(memory.bias));
    }
  };
  for (const auto& [source, summary] : sources) add(source, summary);
  add("all", total);
  if (text.empty()) return "";
  return fmt::format("\npeak memory, error in %\n{:<26} {:<10} {:>5} {:>8} {:>8} {:>8} {:>8}\n", "source", "kind", "rows", "mape", "median",
                     "worst", "bias") +
         text;
}

std::string SkippedLines(const Summary& total) {
  if (total.skipped.empty()) return "";
  std::string text = "\nnot predicted\n";
  for (const auto& [reason, count] : total.skipped) {
    text += fmt::format("{:>5}  {}{}\n", count, reason.substr(0, kReasonLengthMax), reason.size() > kReasonLengthMax ? "..." : "");
  }
  return text;
}

// Notes of predicted rows, with how many rows have each.
std::string NoteLines(const std::vector<Outcome>& outcomes) {
  std::map<std::string, int64_t> counts;
  for (const Outcome& outcome : outcomes) {
    if (!outcome.prediction) continue;
    for (const std::string& note : outcome.notes) ++counts[note];
  }
  if (counts.empty()) return "";
  std::vector<std::pair<std::string, int64_t>> notes(counts.begin(), counts.end());
  std::stable_sort(notes.begin(), notes.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text = "\nbeside the predictions\n";
  for (const auto& [note, count] : notes) text += fmt::format("{:>5}  {}\n", count, note);
  return text;
}

// The unweighted mean over the sources that have a predicted time: no source counts more because it has more rows.
std::string MeanOverSources(const std::vector<std::pair<std::string, Summary>>& sources) {
  double sum = 0;
  int64_t count = 0;
  for (const auto& [source, summary] : sources) {
    if (summary.step_time.count == 0) continue;
    sum += summary.step_time.mape;
    ++count;
  }
  return count == 0 ? "" : fmt::format("unweighted mean of mape over {} sources: {} %\n", count, Percent(sum / static_cast<double>(count)));
}

// A JSON tree as indented `key: value` lines.
void AppendTree(const Json& value, size_t indent, std::string& text) {
  for (const auto& [key, item] : value.items()) {
    text += fmt::format("{:{}}{}:", "", indent, key);
    if (item.is_object() && !item.empty()) {
      text += "\n";
      AppendTree(item, indent + 2, text);
    } else {
      text += fmt::format(" {}\n", item.is_string() ? item.get<std::string>() : item.dump());
    }
  }
}

}  // namespace

std::string RenderText(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes) {
  const Summary total = Summarise(rows, outcomes);
  const auto sources = SummariesBySource(rows, outcomes);
  std::string text = fmt::format(
      "step time, error in %; order: share of pairs of strategies ranked right; regret of the strategy HELM would pick\n"
      "{:<26} {:>5} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>8} {:>8} {:>7}\n",
      "source", "rows", "predicted", "mape", "median", "p90", "worst", "bias", "order", "regret", "max", "in band");
  for (const auto& [source, summary] : sources) text += Line(source, summary);
  text += Line("all", total);
  text += MeanOverSources(sources);
  text += MemoryLines(sources, total);
  text += SkippedLines(total);
  text += NoteLines(outcomes);
  return text;
}

std::string Explain(const Row& row, const Outcome& outcome) {
  std::string text = fmt::format("{} ({}, {})\n\nrow\n", row.id, row.source, row.source_title);
  const Json known = {{"model", ToJson(row.model)},       {"cluster", ToJson(row.cluster)},   {"workload", ToJson(row.workload)},
                      {"strategy", ToJson(row.strategy)}, {"software", ToJson(row.software)}, {"measured", ToJson(row.published)}};
  AppendTree(known, 2, text);
  for (const std::string& assumed : row.assumed) text += fmt::format("  assumed: {}\n", assumed);
  if (!row.notes.empty() && row.notes != "null") text += fmt::format("  notes: {}\n", row.notes);
  if (!outcome.prediction) return text + fmt::format("\nnot predicted: {}\n", outcome.reason);
  text += "\npredicted\n";
  AppendTree(outcome.prediction->document, 2, text);
  for (const std::string& note : outcome.notes) text += fmt::format("  note: {}\n", note);
  text += "\nerror, %\n";
  if (outcome.step_time_error) {
    text += fmt::format("  step time {} (predicted {:.6g} s, measured {:.6g} s)\n", Signed(*outcome.step_time_error),
                        outcome.prediction->step_time_s, *row.measured.step_time_s);
  }
  for (const MemoryError& error : outcome.memory_errors) text += fmt::format("  memory {} {}\n", Name(error.kind), Signed(error.error));
  return text;
}

}  // namespace helm::validation
