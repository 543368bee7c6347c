// The page of helm-validate: static markup, pictures as inline SVG, colours as CSS variables that follow the reader's light or dark
// setting.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/text.h"
#include "validation/render.h"

namespace helm::validation {
namespace {

constexpr double kPlot = 560, kMargin = 56;  // pixels
constexpr size_t kColours = 8;

constexpr const char* kStyle = R"(
:root { --ink: #1c2128; --soft: #59636e; --line: #d1d9e0; --page: #ffffff; --band: #eaeef2;
  --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #9a6700; --c6: #0b7285; --c7: #57606a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --page: #0d1117; --band: #21262d;
  --c0: #58a6ff; --c1: #f0883e; --c2: #3fb950; --c3: #bc8cff; --c4: #ff7ac6; --c5: #d29922; --c6: #39c5cf; --c7: #8b949e; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 2rem; }
svg text { fill: var(--soft); font-size: 12px; } svg .axis { stroke: var(--line); } svg .exact { stroke: var(--soft); stroke-dasharray: 4 4; }
svg .off { stroke: var(--line); stroke-dasharray: 2 4; }
table { border-collapse: collapse; font-size: 13px; } th, td { padding: 3px 10px; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child, td.text { text-align: left; } tr:hover td { background: var(--band); }
.wide { overflow-x: auto; } .soft { color: var(--soft); } summary { cursor: pointer; }
)";

std::string Escape(const std::string& text) {
  return ReplaceAll(ReplaceAll(ReplaceAll(ReplaceAll(text, "&", "&amp;"), "<", "&lt;"), ">", "&gt;"), "\"", "&quot;");
}

std::string PercentOrDash(double fraction, bool known = true) {
  return known ? fmt::format("{:.2f}", 100 * fraction) : std::string("&ndash;");
}

using Sources = std::vector<std::pair<std::string, Summary>>;

size_t ColourOf(const Sources& sources, const std::string& source) {
  for (size_t i = 0; i < sources.size(); ++i) {
    if (sources[i].first == source) return i % kColours;
  }
  return 0;
}

// A logarithmic axis from one power of ten to another.
struct Axis {
  int low = 0, high = 1;
  double At(double value) const { return (std::log10(value) - low) / (high - low) * kPlot; }
};

Axis AxisOf(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes) {
  double low = 1e300, high = 0;
  for (const Outcome& outcome : outcomes) {
    if (!outcome.step_time_error) continue;
    for (const double value : {outcome.prediction->step_time_s, *rows[outcome.row].measured.step_time_s}) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  if (high <= 0) return {};
  Axis axis{static_cast<int>(std::floor(std::log10(low))), static_cast<int>(std::ceil(std::log10(high)))};
  if (axis.high <= axis.low) axis.high = axis.low + 1;
  return axis;
}

// Exact, and 20 % off on either side, cut at the frame.
std::string Diagonals(const Axis& axis) {
  std::string svg;
  for (const double factor : {1.0, 1.2, 1 / 1.2}) {
    const double shift = std::log10(factor) / (axis.high - axis.low) * kPlot;
    const double from = std::max(0.0, -shift), to = std::min(kPlot, kPlot - shift);
    svg += fmt::format(R"svg(<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)svg", factor == 1.0 ? "exact" : "off", from,
                       kPlot - from - shift, to, kPlot - to - shift);
  }
  return svg;
}

std::string Ticks(const Axis& axis) {
  std::string svg;
  for (int power = axis.low; power <= axis.high; ++power) {
    const double at = axis.At(std::pow(10.0, power));
    const std::string label = power >= 0 ? fmt::format("{:.0f} s", std::pow(10.0, power)) : fmt::format("{:g} s", std::pow(10.0, power));
    svg += fmt::format(
        R"svg(<line class="axis" x1="{0:.1f}" y1="0" x2="{0:.1f}" y2="{1}"/><line class="axis" x1="0" y1="{2:.1f}" x2="{1}" y2="{2:.1f}"/>)svg",
        at, kPlot, kPlot - at);
    svg += fmt::format(R"svg(<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>)svg", at, kPlot + 18, label);
    svg += fmt::format(R"svg(<text x="-8" y="{:.1f}" text-anchor="end">{}</text>)svg", kPlot - at + 4, label);
  }
  return svg;
}

std::string Scatter(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes, const Sources& sources) {
  const Axis axis = AxisOf(rows, outcomes);
  std::string svg = fmt::format(
      R"svg(<svg width="{}" height="{}" role="img" aria-label="measured against predicted step time"><g transform="translate({},12)">)svg",
      kPlot + kMargin + 12, kPlot + kMargin + 12, kMargin);
  svg += Ticks(axis) + Diagonals(axis);
  for (const Outcome& outcome : outcomes) {
    if (!outcome.step_time_error) continue;
    const Row& row = rows[outcome.row];
    const double measured = *row.measured.step_time_s, predicted = outcome.prediction->step_time_s;
    svg += fmt::format(
        R"svg(<circle cx="{:.1f}" cy="{:.1f}" r="3.5" style="fill:var(--c{})" fill-opacity="0.65"><title>{}: measured {:.4g} s, predicted {:.4g} s ({:+.1f} %)</title></circle>)svg",
        axis.At(measured), kPlot - axis.At(predicted), ColourOf(sources, row.source), Escape(row.id), measured, predicted,
        100 * *outcome.step_time_error);
  }
  svg += fmt::format(
      R"svg(<text x="{0:.0f}" y="{1}" text-anchor="middle">measured</text><text transform="translate({2},{0:.0f}) rotate(-90)" text-anchor="middle">predicted</text>)svg",
      kPlot / 2, kPlot + 40, -44);
  return svg + "</g></svg>\n";
}

// Mean error as a bar, the median as a mark in it.
std::string ErrorBars(const Sources& sources) {
  constexpr double kBar = 300, kRow = 26, kLabel = 210;
  double largest = 0;
  for (const auto& [source, summary] : sources) largest = std::max(largest, summary.step_time.mape);
  if (largest <= 0) return "";
  std::string svg = fmt::format(R"svg(<svg width="{}" height="{}" role="img" aria-label="error of step time by source">)svg",
                                kLabel + kBar + 90, kRow * static_cast<double>(sources.size()) + 10);
  for (size_t i = 0; i < sources.size(); ++i) {
    const ErrorStatistics& time = sources[i].second.step_time;
    const double y = kRow * static_cast<double>(i) + 4;
    svg += fmt::format(R"svg(<text x="{}" y="{:.0f}" text-anchor="end">{}</text>)svg", kLabel - 8, y + 14, Escape(sources[i].first));
    if (time.count == 0) {
      svg += fmt::format(R"svg(<text x="{}" y="{:.0f}">not predicted</text>)svg", kLabel, y + 14);
      continue;
    }
    const double width = time.mape / largest * kBar, median = time.median / largest * kBar;
    svg += fmt::format(R"svg(<rect x="{}" y="{:.0f}" width="{:.1f}" height="18" style="fill:var(--c{})" fill-opacity="0.75"/>)svg", kLabel,
                       y, width, i % kColours);
    svg += fmt::format(R"svg(<line x1="{0:.1f}" y1="{1:.0f}" x2="{0:.1f}" y2="{2:.0f}" style="stroke:var(--ink)" stroke-width="2"/>)svg",
                       kLabel + median, y, y + 18);
    svg += fmt::format(R"svg(<text x="{:.0f}" y="{:.0f}">{} %</text>)svg", kLabel + std::max(width, median) + 6, y + 14,
                       PercentOrDash(time.mape));
  }
  return svg + "</svg>\n";
}

std::string SummaryRow(const std::string& source, const Summary& summary) {
  const ErrorStatistics& time = summary.step_time;
  const bool timed = time.count > 0;
  return fmt::format(
      "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
      Escape(source), summary.complete, summary.predicted, PercentOrDash(time.mape, timed), PercentOrDash(time.median, timed),
      PercentOrDash(time.p90, timed), PercentOrDash(time.worst, timed), PercentOrDash(time.bias, timed),
      PercentOrDash(summary.order.share(), summary.order.pairs > 0), PercentOrDash(summary.regret.mean, summary.regret.groups > 0));
}

std::string SummaryTable(const Sources& sources, const Summary& total) {
  std::string html =
      "<div class=wide><table><tr><th>source</th><th>complete "
      "rows</th><th>predicted</th><th>mape</th><th>median</th><th>p90</th><th>worst</th>"
      "<th>bias</th><th>order</th><th>mean regret</th></tr>\n";
  for (const auto& [source, summary] : sources) html += SummaryRow(source, summary);
  return html + SummaryRow("all", total) + "</table></div>\n";
}

std::string MemoryTable(const Sources& sources, const Summary& total) {
  std::string body;
  const auto add = [&body](const std::string& source, const Summary& summary) {
    for (size_t kind = 0; kind < kMemoryKinds; ++kind) {
      const ErrorStatistics& memory = summary.memory[kind];
      if (memory.count == 0) continue;
      body += fmt::format("<tr><td>{}</td><td class=text>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", Escape(source),
                          Name(static_cast<MemoryKind>(kind)), memory.count, PercentOrDash(memory.mape), PercentOrDash(memory.median));
    }
  };
  for (const auto& [source, summary] : sources) add(source, summary);
  add("all", total);
  if (body.empty()) return "";
  return "<h2>Peak memory, error in %</h2><table><tr><th>source</th><th>kind</th><th>rows</th><th>mape</th><th>median</th></tr>\n" + body +
         "</table>\n";
}

std::string SkippedTable(const Summary& total) {
  if (total.skipped.empty()) return "";
  std::string html = "<h2>Not predicted</h2><table><tr><th>reason</th><th>rows</th></tr>\n";
  for (const auto& [reason, count] : total.skipped) html += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", Escape(reason), count);
  return html + "</table>\n";
}

std::string RowTable(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes) {
  std::string html =
      "<h2>Rows</h2><details><summary>every predicted row</summary><div class=wide><table><tr><th>row</th><th>measured, s</th>"
      "<th>predicted, s</th><th>error, %</th><th>memory error, %</th></tr>\n";
  for (const Outcome& outcome : outcomes) {
    if (!outcome.prediction) continue;
    const Row& row = rows[outcome.row];
    const std::string measured = row.measured.step_time_s ? fmt::format("{:.5g}", *row.measured.step_time_s) : std::string("&ndash;");
    const std::string memory =
        outcome.memory_errors.empty() ? std::string("&ndash;") : fmt::format("{:+.2f}", 100 * outcome.memory_errors[0].error);
    html += fmt::format("<tr><td>{}</td><td>{}</td><td>{:.5g}</td><td>{}</td><td>{}</td></tr>\n", Escape(row.id), measured,
                        outcome.prediction->step_time_s,
                        outcome.step_time_error ? fmt::format("{:+.2f}", 100 * *outcome.step_time_error) : std::string("&ndash;"), memory);
  }
  return html + "</table></div></details>\n";
}

}  // namespace

std::string RenderHtml(const std::vector<Row>& rows, const std::vector<Outcome>& outcomes) {
  const Summary total = Summarise(rows, outcomes);
  const Sources sources = SummariesBySource(rows, outcomes);
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>HELM: predicted "
      "against published runs</title><style>{}</style></head><body>\n<h1>Predicted against published, measured runs</h1>\n",
      kStyle);
  html += fmt::format(
      "<p>{} of {} complete rows are predicted. Step time: mean error {} %, median {} %, bias {} %. Errors are (predicted - "
      "measured) / measured.</p>\n",
      total.predicted, total.complete, PercentOrDash(total.step_time.mape), PercentOrDash(total.step_time.median),
      PercentOrDash(total.step_time.bias));
  html += "<div class=pictures><div><h2>Step time</h2><p class=soft>Dashed: exact; dotted: 20 % off.</p>" +
          Scatter(rows, outcomes, sources) + "</div>";
  html += "<div><h2>Error by source</h2><p class=soft>Bar: mean; mark: median.</p>" + ErrorBars(sources) + "</div></div>\n";
  html += "<h2>Summary, in %</h2>\n" + SummaryTable(sources, total) + MemoryTable(sources, total) + SkippedTable(total);
  return html + RowTable(rows, outcomes) + "</body></html>\n";
}

}  // namespace helm::validation
