// helm-compare: holds a predicted timeline against a measured one (or two plans' timelines against each other).
#include <cmath>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "core/file.h"
#include "formats/perfetto_trace.h"
#include "ir/timeline.h"
#include "report/compare.h"
#include "tools/command_line.h"
#include "tools/terminal.h"

namespace helm {
namespace {

struct Arguments {
  std::string predicted;
  std::string measured;
  std::string html;
  std::string perfetto;
  bool json = false;
  bool across_plans = false;
  double step_time_tolerance = 0;
  double peak_memory_tolerance = 0;
};

Status CheckTolerance(const char* what, const std::optional<double>& error, double tolerance) {
  if (tolerance <= 0 || !error || std::abs(*error) <= tolerance) return OkStatus();
  return {StatusCode::kToleranceExceeded,
          fmt::format("error: {} is off by {:+.1f} %, the tolerance is {:.1f} %", what, 100 * *error, 100 * tolerance)};
}

Status Run(const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const ir::Timeline predicted, ir::ReadTimeline(arguments.predicted));
  HELM_ASSIGN_OR_RETURN(const ir::Timeline measured, ir::ReadTimeline(arguments.measured));
  HELM_ASSIGN_OR_RETURN(const report::Comparison comparison,
                        report::Compare(predicted, measured, {.across_plans = arguments.across_plans}));
  if (!arguments.html.empty()) {
    HELM_RETURN_IF_ERROR(WriteFileAtomically(arguments.html, report::RenderHtml(comparison, predicted, measured)));
    tools::PrintNote(fmt::format("wrote {}", arguments.html));
  }
  if (!arguments.perfetto.empty()) {
    HELM_ASSIGN_OR_RETURN(const std::string archive, formats::ToPerfettoArchive(predicted, measured));
    HELM_RETURN_IF_ERROR(WriteFileAtomically(arguments.perfetto, archive));
    tools::PrintNote(fmt::format("wrote {}", arguments.perfetto));
  }
  if (arguments.json) {
    tools::PrintJson(report::RenderJson(comparison));
  } else {
    tools::PrintResult(report::RenderText(comparison, {.colour = tools::ColourWanted()}));
  }
  HELM_RETURN_IF_ERROR(CheckTolerance("step time", comparison.step_time_error, arguments.step_time_tolerance));
  return CheckTolerance("peak memory", comparison.peak_memory_error, arguments.peak_memory_tolerance);
}

}  // namespace
}  // namespace helm

int main(int argc, char** argv) {
  CLI::App app("Compares a predicted timeline with a measured one.", "helm-compare");
  helm::Arguments arguments;
  app.add_option("predicted", arguments.predicted, "timeline that helm-sim --trace or helm-plan --trace wrote")->required();
  app.add_option("measured", arguments.measured, "timeline that helm-exec --trace wrote")->required();
  app.add_option("--html", arguments.html, "also write one self-contained page");
  app.add_option("--perfetto", arguments.perfetto, "also write both as one archive (.tar) that Perfetto opens on one time axis");
  app.add_flag("--json", arguments.json, "print one JSON document");
  app.add_flag("--across-plans", arguments.across_plans, "the timelines are of two different plans: match ops by what they are");
  app.add_option("--step-time-tolerance", arguments.step_time_tolerance, "exit 4 when the error of the step time exceeds this fraction");
  app.add_option("--peak-memory-tolerance", arguments.peak_memory_tolerance,
                 "exit 4 when the error of the peak memory exceeds this fraction");
  if (const auto code = helm::tools::Parse(app, argc, argv)) return *code;
  const helm::Status status = helm::Run(arguments);
  return status.ok() ? 0 : helm::tools::Fail(status);
}
