#include "report/render_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "core/text.h"
#include "report/format.h"
#include "report/stage_table.h"

namespace helm::report {
namespace {

constexpr size_t kCategoriesShown = 6;
constexpr size_t kStagesShown = 8;
constexpr size_t kRanksShown = 8;
constexpr size_t kDifferencesShown = 8;
constexpr size_t kPathWorkShown = 5;

// Green within 5 %, yellow within 15 % (the demo's tolerances for memory and step time), red beyond.
std::string Coloured(const std::string& text, std::optional<double> error, const TextOptions& options) {
  if (!options.colour || !error) return text;
  const double size = std::abs(*error);
  const char* colour = size <= 0.05 ? "32" : size <= 0.15 ? "33" : "31";
  return fmt::format("\x1b[{}m{}\x1b[0m", colour, text);
}

std::string Bold(const std::string& text, const TextOptions& options) { return options.colour ? "\x1b[1m" + text + "\x1b[0m" : text; }

std::string SummaryLine(const std::string& name, const Sides<std::string>& values, std::optional<double> error,
                        const TextOptions& options) {
  return fmt::format("{:<28}{:>14}{:>14}{}", name, values.predicted, values.measured,
                     Coloured(fmt::format("{:>12}", FormatError(error)), error, options));
}

std::string DurationLine(const std::string& name, const Sides<Duration>& sides, const TextOptions& options) {
  return SummaryLine(name, {FormatDuration(sides.predicted), FormatDuration(sides.measured)},
                     RelativeError(sides.predicted, sides.measured), options);
}

std::string MemoryLine(const Comparison& comparison, const TextOptions& options) {
  const auto& [predicted, measured] = comparison.sides;
  return SummaryLine("peak memory", {FormatMemory(predicted.memory_bytes_peak), FormatMemory(measured.memory_bytes_peak)},
                     comparison.peak_memory_error, options);
}

// Absent unless both sides know, which those of a GPU do.
void AppendMemoryLine(const std::string& name, const Sides<std::optional<Bytes>>& sides, const TextOptions& options,
                      std::vector<std::string>& lines) {
  if (!sides.predicted || !sides.measured) return;
  lines.push_back(SummaryLine(name, {FormatMemory(*sides.predicted), FormatMemory(*sides.measured)},
                              RelativeError(*sides.predicted, *sides.measured), options));
}

void AppendSources(const Summary& summary, std::vector<std::string>& lines) {
  const SourceShares& sources = summary.sources;
  if (sources.measured + sources.interpolated + sources.analytic == 0) return;
  lines.push_back(fmt::format("{} rests on: measured {}, interpolated {}, analytic {} of op time", summary.title,
                              FormatShare(sources.measured), FormatShare(sources.interpolated), FormatShare(sources.analytic)));
}

Duration SumOf(const std::vector<OpRow>& rows) {
  Duration sum;
  for (const OpRow& row : rows) sum += row.duration.predicted + row.duration.measured;
  return sum;
}

std::string MatchLine(const Comparison& comparison) {
  std::string line = fmt::format("{} ops paired", comparison.rows.size());
  if (comparison.matched_by_id) line += " by id";
  const auto add = [&](const std::vector<OpRow>& rows, const std::string& title) {
    if (!rows.empty()) line += fmt::format("; {} only in '{}' ({})", rows.size(), title, FormatDuration(SumOf(rows)));
  };
  add(comparison.predicted_only, comparison.sides.predicted.title);
  add(comparison.measured_only, comparison.sides.measured.title);
  return line;
}

std::string Spaced(std::string text) {
  std::ranges::replace(text, '_', ' ');
  return text;
}

std::string DescribeWork(const Work& work) {
  return fmt::format("{:<22}{:<20}{:<16}", Shorten(work.label, 21), Shorten(work.target, 19), Shorten(Spaced(work.phase), 15));
}

// "12", or "12/8" where the sides differ.
std::string Counts(const Sides<int64_t>& counts) {
  return counts.predicted == counts.measured ? fmt::format("{}", counts.predicted)
                                             : fmt::format("{}/{}", counts.predicted, counts.measured);
}

std::string WithSign(Duration difference) { return (difference > Duration() ? "+" : "") + FormatDuration(difference); }

// Text columns, then three of times.
std::string WorkLine(const std::string& text, const std::string& ops, const Sides<Duration>& times, Duration difference) {
  return fmt::format("{}{:>7}{:>12}{:>12}{:>11}", text, ops, FormatDuration(times.predicted), FormatDuration(times.measured),
                     WithSign(difference));
}

std::string WorkHead(const Comparison& comparison, const std::string& text, const TextOptions& options) {
  const auto& [predicted, measured] = comparison.sides;
  return Bold(
      fmt::format("{}{:>7}{:>12}{:>12}{:>11}", text, "ops", Shorten(predicted.title, 11), Shorten(measured.title, 11), "difference"),
      options);
}

// Summed over a pair of uses, one number of each.
template <typename Use, typename Number>
std::string PairOf(const Sides<std::optional<Use>>& uses, const std::function<Number(const Use&)>& number) {
  const auto of = [&](const std::optional<Use>& use) { return use ? std::optional<Number>(number(*use)) : std::nullopt; };
  return FormatPair(of(uses.predicted), of(uses.measured));
}

// Over a table of pairs.
std::string PairTitle(const char* rows, const Comparison& comparison, const TextOptions& options) {
  const auto& [predicted, measured] = comparison.sides;
  return Bold(fmt::format("{}, {}/{}", rows, Shorten(predicted.title, 30), Shorten(measured.title, 30)), options);
}

bool HasStages(const Comparison& comparison) { return comparison.stages.size() > 1; }

// "3", "3 (2)" where rank 2 stands for it on one side.
std::string RankName(const RankRow& row) {
  for (const std::optional<RankUse>& use : {row.use.predicted, row.use.measured}) {
    if (use && use->rank != row.rank) return fmt::format("{} ({})", row.rank, use->rank);
  }
  return fmt::format("{}", row.rank);
}

std::string StageName(const RankRow& row) {
  const auto& [predicted, measured] = row.use;
  const int32_t first = predicted ? predicted->stage : -1;
  const int32_t second = measured ? measured->stage : -1;
  if (first == second || second < 0) return fmt::format("{}", first);
  return first < 0 ? fmt::format("{}", second) : fmt::format("{}/{}", first, second);
}

// All of them, or the ones that compute the most or least against the other side.
std::vector<const RankRow*> RanksToShow(const Comparison& comparison) {
  std::vector<const RankRow*> rows;
  for (const RankRow& row : comparison.ranks) rows.push_back(&row);
  if (rows.size() <= kRanksShown) return rows;
  const auto difference = [](const RankRow* row) {
    const auto& [predicted, measured] = row->use;
    return predicted && measured ? std::abs((predicted->compute_busy - measured->compute_busy).picoseconds()) : 0;
  };
  std::ranges::stable_sort(rows, std::greater<>(), difference);
  rows.resize(kRanksShown);
  std::ranges::sort(rows, {}, [](const RankRow* row) { return row->rank; });
  return rows;
}

}  // namespace

std::vector<std::string> SummaryLines(const Comparison& comparison, const TextOptions& given) {
  const Summary& predicted = comparison.sides.predicted;
  const Summary& measured = comparison.sides.measured;
  std::vector<std::string> lines;
  const auto describe = [&](const Summary& summary) {
    lines.push_back(Shorten(fmt::format("{}: {}{}{}; {} rank{}", summary.title, summary.plan, summary.device.empty() ? "" : "; ",
                                        summary.device, summary.ranks.size(), summary.ranks.size() == 1 ? "" : "s"),
                            100));
  };
  describe(predicted);
  describe(measured);
  if (!comparison.matched_by_id)
    lines.emplace_back("different programs: ops are paired by operator, label, phase, layer, micro-batch and occurrence");
  lines.push_back(Bold(fmt::format("{:<28}{:>14}{:>14}{:>12}", "", Shorten(predicted.title, 13), Shorten(measured.title, 13),
                                   comparison.foretells ? "error" : "relative"),
                       given));
  // Only an error is good or bad.
  const TextOptions options{.colour = given.colour && comparison.foretells};
  lines.push_back(DurationLine("step time", {predicted.step_time, measured.step_time}, options));
  lines.push_back(MemoryLine(comparison, options));
  AppendMemoryLine("reserved memory", {predicted.memory_bytes_reserved, measured.memory_bytes_reserved}, options, lines);
  AppendMemoryLine("beyond the allocator", {predicted.memory_bytes_outside, measured.memory_bytes_outside}, options, lines);
  if (comparison.stages.size() > 1) {
    lines.push_back(
        fmt::format("  of rank {}, the middle one by step time (helm-sim's parts are the mean of all)", measured.breakdown_rank));
  }
  const auto part = [&](const char* name, Duration Breakdown::* field) {
    const Sides<Duration> sides{predicted.breakdown.*field, measured.breakdown.*field};
    if (sides.predicted == Duration() && sides.measured == Duration()) return;
    lines.push_back(DurationLine(std::string("  ") + name, sides, options));
  };
  part("compute", &Breakdown::compute);
  part("optimizer", &Breakdown::optimizer);
  part("exposed communication", &Breakdown::exposed_communication);
  part("bubble", &Breakdown::bubble);
  part("host and idle", &Breakdown::host);
  AppendSources(predicted, lines);
  AppendSources(measured, lines);
  lines.push_back(Shorten(MatchLine(comparison), 100));
  return lines;
}

std::vector<std::string> AttributionLines(const Comparison& comparison, const TextOptions& options) {
  const Attribution& attribution = comparison.attribution;
  std::vector<std::string> lines;
  lines.push_back(WorkHead(comparison, fmt::format("{:<58}", "on the critical path"), options));
  for (const AttributionRow& row : attribution.categories)
    lines.push_back(WorkLine(fmt::format("  {:<56}", row.category), "", row.on_path, row.difference()));
  const auto& [predicted, measured] = comparison.sides;
  lines.push_back(WorkLine(fmt::format("  {:<56}", "step"), "", {predicted.makespan, measured.makespan}, attribution.difference));
  const size_t shown = std::min(attribution.work.size(), kPathWorkShown);
  if (shown > 0) lines.push_back(WorkHead(comparison, fmt::format("{:<22}{:<20}{:<16}", "most of it", "operator", "phase"), options));
  for (size_t i = 0; i < shown; ++i) {
    const WorkRow& row = attribution.work[i].row;
    lines.push_back(WorkLine(DescribeWork(row.work), Counts(row.ops), row.duration, row.difference()));
  }
  return lines;
}

std::vector<std::string> StageLines(const Comparison& comparison, const TextOptions& options) {
  std::vector<std::string> lines;
  if (!HasStages(comparison)) return lines;
  lines.push_back(PairTitle("stages", comparison, options));
  lines.push_back(fmt::format("{:<11}{:>9}{:>16}{:>16}{:>16}{:>16}{:>16}", "stage", "ranks", "step time", "compute", "exposed comm.",
                              "bubble", "peak memory"));
  for (size_t stage = 0; stage < std::min(comparison.stages.size(), kStagesShown); ++stage) {
    const auto& [predicted, measured] = comparison.stages[stage];
    const auto present = [](const StageUse& use) { return use.ranks > 0 ? std::optional<StageUse>(use) : std::nullopt; };
    const Sides<std::optional<StageUse>> uses{present(predicted), present(measured)};
    const auto time = [&](Duration StageUse::* member) {
      return PairOf<StageUse, Duration>(uses, [&](const StageUse& use) { return use.*member; });
    };
    lines.push_back(fmt::format("{:<11}{:>9}{:>16}{:>16}{:>16}{:>16}{:>16}", stage, Counts({predicted.ranks, measured.ranks}),
                                time(&StageUse::makespan), time(&StageUse::compute_busy), time(&StageUse::exposed_communication),
                                time(&StageUse::bubble),
                                PairOf<StageUse, Bytes>(uses, [](const StageUse& use) { return use.memory_bytes_peak; })));
  }
  if (comparison.stages.size() > kStagesShown)
    lines.push_back(fmt::format("{} stages more: --json", comparison.stages.size() - kStagesShown));
  return lines;
}

std::vector<std::string> RankLines(const Comparison& comparison, const TextOptions& options) {
  std::vector<std::string> lines;
  if (comparison.ranks.size() < 2) return lines;
  const bool staged = HasStages(comparison);
  lines.push_back(PairTitle("ranks", comparison, options));
  lines.push_back(fmt::format("{:<11}{:>9}{:>16}{:>16}{:>16}{:>16}{:>16}", "rank", staged ? "stage" : "", "step time", "compute",
                              "exposed comm.", staged ? "bubble" : "host and idle", "peak memory"));
  for (const RankRow* row : RanksToShow(comparison)) {
    const auto time = [&](const std::function<Duration(const RankUse&)>& number) { return PairOf<RankUse, Duration>(row->use, number); };
    lines.push_back(fmt::format("{:<11}{:>9}{:>16}{:>16}{:>16}{:>16}{:>16}", RankName(*row), staged ? StageName(*row) : "",
                                time([](const RankUse& use) { return use.makespan; }),
                                time([](const RankUse& use) { return use.compute_busy; }),
                                time([](const RankUse& use) { return use.breakdown.exposed_communication; }),
                                time([&](const RankUse& use) { return staged ? use.breakdown.bubble : use.breakdown.host; }),
                                PairOf<RankUse, Bytes>(row->use, [](const RankUse& use) { return use.memory_bytes_peak; })));
  }
  if (comparison.ranks.size() > kRanksShown)
    lines.push_back(fmt::format("the {} of {} ranks whose computing time differs most; all: --json", kRanksShown, comparison.ranks.size()));
  if (const std::string pairing = DescribeRankPairing(comparison); !pairing.empty()) lines.push_back(pairing);
  return lines;
}

std::vector<std::string> DifferenceLines(const Comparison& comparison, const TextOptions& options) {
  std::vector<std::string> lines;
  if (comparison.work.empty()) return lines;
  lines.push_back(WorkHead(comparison, fmt::format("{:<22}{:<20}{:<16}", "largest differences", "operator", "phase"), options));
  for (size_t i = 0; i < std::min(comparison.work.size(), kDifferencesShown); ++i) {
    const WorkRow& row = comparison.work[i];
    lines.push_back(WorkLine(DescribeWork(row.work), Counts(row.ops), row.duration, row.difference()));
  }
  return lines;
}

std::vector<std::string> CategoryLines(const Comparison& comparison, const TextOptions& options) {
  const auto& [predicted, measured] = comparison.sides;
  std::vector<std::string> lines;
  lines.push_back(Bold(fmt::format("{:<46}{:>7}{:>12}{:>12}{:>11}{:>12}", "sums by operator", "ops", Shorten(predicted.title, 11),
                                   Shorten(measured.title, 11), "difference", comparison.foretells ? "error" : "relative"),
                       options));
  size_t shown = 0;
  for (const CategoryRow& row : comparison.by_target) {
    if (row.name == "c10d.wait") continue;
    if (shown++ == kCategoriesShown) break;
    lines.push_back(WorkLine(fmt::format("{:<46}", Shorten(row.name, 45)), Counts(row.ops), row.duration, row.difference()) +
                    fmt::format("{:>12}", FormatError(RelativeError(row.duration.predicted, row.duration.measured))));
  }
  return lines;
}

std::string RenderText(const Comparison& comparison, const TextOptions& options) {
  std::string text;
  const auto append = [&](const std::vector<std::string>& lines) {
    if (!text.empty() && !lines.empty()) text += '\n';
    for (const std::string& line : lines) text += line + '\n';
  };
  append(SummaryLines(comparison, options));
  append(AttributionLines(comparison, options));
  append(StageLines(comparison, options));
  append(RankLines(comparison, options));
  append(DifferenceLines(comparison, options));
  append(CategoryLines(comparison, options));
  return text;
}

}  // namespace helm::report
