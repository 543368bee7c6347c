// helm-compare: holds a predicted timeline against a measured one, or any two timelines against each other, of one plan or of two.
#include <cmath>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "core/file.h"
#include "formats/perfetto_trace.h"
#include "ir/timeline.h"
#include "report/compare.h"
#include "tools/command_line.h"
#include "tools/read_timeline.h"
#include "tools/terminal.h"

namespace helm {
namespace {

struct Arguments {
  std::string predicted;
  std::string measured;
  std::string html;
  std::string perfetto;
  bool json = false;
  double step_time_tolerance = 0;
  double peak_memory_tolerance = 0;
};

Status CheckTolerance(const char* what, const std::optional<double>& error, double tolerance) {
  if (tolerance <= 0 || !error || std::abs(*error) <= tolerance) return OkStatus();
  return {StatusCode::kToleranceExceeded,
          fmt::format("error: {} is off by {:+.1f} %, the tolerance is {:.1f} %", what, 100 * *error, 100 * tolerance)};
}

Status Run(const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const ir::Timeline predicted, tools::ReadTimelineOrTrace(arguments.predicted));
  HELM_ASSIGN_OR_RETURN(const ir::Timeline measured, tools::ReadTimelineOrTrace(arguments.measured));
  HELM_ASSIGN_OR_RETURN(const report::Comparison comparison, report::Compare(predicted, measured));
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
  CLI::App app("Compares a predicted timeline with a measured one, or two timelines of any kind, of one plan or of two.", "helm-compare");
  helm::Arguments arguments;
  app.add_option("predicted", arguments.predicted, "a timeline: helm-sim --trace writes predicted ones")->required();
  app.add_option(
         "measured", arguments.measured,
         "the one to hold it against: helm-exec --trace writes measured ones, helm-sim --trace those of another plan; or a trace of "
         "torch.profiler (.json, .json.gz), or an SQLite export of Nsight Systems")
      ->required();
  app.add_option("--html", arguments.html, "also write one self-contained page");
  app.add_option("--perfetto", arguments.perfetto, "also write both as one archive (.tar) that Perfetto opens on one time axis");
  app.add_flag("--json", arguments.json, "print one JSON document");
  app.add_option("--step-time-tolerance", arguments.step_time_tolerance, "exit 4 when the error of the step time exceeds this fraction")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--peak-memory-tolerance", arguments.peak_memory_tolerance,
                 "exit 4 when the error of the peak memory exceeds this fraction")
      ->check(CLI::Range(0.0, 1.0));
  if (const auto code = helm::tools::Parse(app, argc, argv)) return *code;
  return helm::tools::ExitCodeOf([&] { return helm::Run(arguments); });
}
