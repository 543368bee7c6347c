#include "report/render_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/format.h"

namespace helm::report {
namespace {

constexpr size_t kCategoriesShown = 6;
constexpr size_t kStagesShown = 4;

// Green within 5 %, yellow within 15 % (the demo's tolerances for memory and step time), red beyond.
std::string Coloured(const std::string& text, std::optional<double> error, const TextOptions& options) {
  if (!options.colour || !error) return text;
  const double size = std::abs(*error);
  const char* colour = size <= 0.05 ? "32" : size <= 0.15 ? "33" : "31";
  return fmt::format("\x1b[{}m{}\x1b[0m", colour, text);
}

std::string Bold(const std::string& text, const TextOptions& options) { return options.colour ? "\x1b[1m" + text + "\x1b[0m" : text; }

std::string DurationLine(const std::string& name, const Sides<Duration>& sides, const TextOptions& options) {
  const std::optional<double> error = RelativeError(sides.predicted, sides.measured);
  return fmt::format("{:<28}{:>14}{:>14}{}", name, FormatDuration(sides.predicted), FormatDuration(sides.measured),
                     Coloured(fmt::format("{:>12}", FormatError(error)), error, options));
}

std::string MemoryLine(const Comparison& comparison, const TextOptions& options) {
  return fmt::format("{:<28}{:>14}{:>14}{}", "peak memory", FormatMemory(comparison.sides.predicted.memory_bytes_peak),
                     FormatMemory(comparison.sides.measured.memory_bytes_peak),
                     Coloured(fmt::format("{:>12}", FormatError(comparison.peak_memory_error)), comparison.peak_memory_error, options));
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
  std::string line =
      fmt::format("{} ops paired by {}", comparison.rows.size(), comparison.matched_by_id ? "id" : "name (different programs)");
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

}  // namespace

std::vector<std::string> SummaryLines(const Comparison& comparison, const TextOptions& options) {
  const auto& [predicted, measured] = comparison.sides;
  std::vector<std::string> lines;
  const auto describe = [&](const Summary& summary) {
    lines.push_back(Shorten(fmt::format("{}: {}{}{}; {} rank{}", summary.title, summary.plan, summary.device.empty() ? "" : "; ",
                                        summary.device, summary.ranks.size(), summary.ranks.size() == 1 ? "" : "s"),
                            100));
  };
  describe(predicted);
  describe(measured);
  lines.push_back(
      Bold(fmt::format("{:<28}{:>14}{:>14}{:>12}", "", Shorten(predicted.title, 13), Shorten(measured.title, 13), "error"), options));
  lines.push_back(DurationLine("step time", {predicted.makespan, measured.makespan}, options));
  lines.push_back(MemoryLine(comparison, options));
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

std::vector<std::string> DifferenceLines(const Comparison& comparison, const TextOptions& options) {
  std::vector<std::string> lines;
  const std::vector<WorkRow> rows = LargestDifferences(comparison, options.differences);
  if (rows.empty()) return lines;
  lines.push_back(Bold(fmt::format("{:<24}{:<23}{:<15}{:>5}{:>11}{:>11}{:>11}", "largest differences", "operator", "phase", "ops",
                                   "predicted", "measured", "difference"),
                       options));
  for (const WorkRow& row : rows) {
    lines.push_back(fmt::format("{:<24}{:<23}{:<15}{:>5}{:>11}{:>11}{:>11}", Shorten(row.label, 23), Shorten(row.target, 22),
                                Spaced(row.phase), row.ops, FormatDuration(row.duration.predicted), FormatDuration(row.duration.measured),
                                FormatDuration(row.difference())));
  }
  return lines;
}

std::vector<std::string> AttributionLines(const Comparison& comparison, const TextOptions& options) {
  const Attribution& attribution = comparison.attribution;
  std::vector<std::string> lines;
  std::string total = fmt::format("{}{}", attribution.difference < Duration() ? "" : "+", FormatDuration(attribution.difference));
  lines.push_back(Bold(fmt::format("{:<43}{:>18}{:>15}{:>15}", "on the critical path", Shorten(comparison.sides.predicted.title, 13),
                                   Shorten(comparison.sides.measured.title, 13), total),
                       options));
  for (const AttributionRow& row : attribution.categories) {
    lines.push_back(fmt::format("{:<43}{:>18}{:>15}{:>15}", "  " + row.category, FormatDuration(row.on_path.predicted),
                                FormatDuration(row.on_path.measured), FormatDuration(row.difference())));
  }
  return lines;
}

std::vector<std::string> StageLines(const Comparison& comparison) {
  std::vector<std::string> lines;
  if (comparison.stages.size() < 2) return lines;
  lines.push_back(fmt::format("{:<7}{:<14}{:>6}{:>13}{:>13}{:>15}{:>13}{:>14}", "stage", "", "ranks", "step time", "compute",
                              "exposed comm.", "bubble", "peak memory"));
  const auto add = [&](size_t stage, const std::string& title, const StageUse& use) {
    if (use.ranks == 0) return;
    lines.push_back(fmt::format("{:<7}{:<14}{:>6}{:>13}{:>13}{:>15}{:>13}{:>14}", stage, Shorten(title, 13), use.ranks,
                                FormatDuration(use.makespan), FormatDuration(use.compute_busy), FormatDuration(use.exposed_communication),
                                FormatDuration(use.bubble), FormatMemory(use.memory_bytes_peak)));
  };
  for (size_t stage = 0; stage < std::min(comparison.stages.size(), kStagesShown); ++stage) {
    add(stage, comparison.sides.predicted.title, comparison.stages[stage].predicted);
    add(stage, comparison.sides.measured.title, comparison.stages[stage].measured);
  }
  if (comparison.stages.size() > kStagesShown)
    lines.push_back(fmt::format("{} stages more: --json", comparison.stages.size() - kStagesShown));
  return lines;
}

std::vector<std::string> CategoryLines(const Comparison& comparison) {
  std::vector<std::string> lines;
  lines.push_back(
      fmt::format("{:<43}{:>6}{:>12}{:>12}{:>12}{:>12}", "sums by operator", "ops", "predicted", "measured", "difference", "error"));
  size_t shown = 0;
  for (const CategoryRow& row : comparison.by_target) {
    if (row.name == "c10d.wait") continue;
    if (shown++ == kCategoriesShown) break;
    lines.push_back(fmt::format("{:<43}{:>6}{:>12}{:>12}{:>12}{:>12}", Shorten(row.name, 42), row.ops,
                                FormatDuration(row.duration.predicted), FormatDuration(row.duration.measured),
                                FormatDuration(row.difference()),
                                FormatError(RelativeError(row.duration.predicted, row.duration.measured))));
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
  append(StageLines(comparison));
  append(DifferenceLines(comparison, options));
  append(CategoryLines(comparison));
  return text;
}

}  // namespace helm::report
