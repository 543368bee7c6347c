// helm-validate: predicts runs that others measured and published, and says how far off the predictions are.
#include <cstdlib>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cluster/machine_facts.h"
#include "core/file.h"
#include "core/preset.h"
#include "core/text.h"
#include "tools/command_line.h"
#include "tools/terminal.h"
#include "tools/validation_predictor.h"
#include "validation/render.h"

namespace helm {
namespace {

struct Arguments {
  std::vector<std::string> suites;
  std::vector<std::string> cost_tables;
  std::vector<std::string> constants;  // NAME=VALUE
  std::string only;
  std::string explain;
  std::string html;
  int64_t jobs = std::max(1U, std::thread::hardware_concurrency());
  bool json = false;
};

// Rows of all files whose source or id holds the pattern; every row without one.
Result<std::vector<validation::Row>> ReadRows(const Arguments& arguments) {
  std::vector<validation::Row> rows;
  for (const std::string& path : arguments.suites) {
    HELM_ASSIGN_OR_RETURN(std::vector<validation::Row> suite, validation::ReadSuite(path));
    for (validation::Row& row : suite) {
      const bool named = row.source.find(arguments.only) != std::string::npos || row.id.find(arguments.only) != std::string::npos;
      if (named && (arguments.explain.empty() || row.id == arguments.explain)) rows.push_back(std::move(row));
    }
  }
  if (!rows.empty()) return rows;
  if (!arguments.explain.empty()) return InvalidError(fmt::format("error: no row has the id '{}'", arguments.explain));
  return InvalidError(arguments.only.empty() ? std::string("error: the suites have no rows")
                                             : fmt::format("error: no row's source or id contains '{}'", arguments.only));
}

Result<config::ConfigContext> MakeContext() {
  HELM_ASSIGN_OR_RETURN(auto machine, cluster::ReadMachineFacts());
  config::ConfigContext context{MakePresetPath(std::getenv("HELM_CONFIG_DIR"), ExecutableFolder()), std::move(machine)};
  context.presets.cache = MakeDocumentCache();
  return context;
}

Result<cost::FittedConstants> ReadConstants(const std::vector<std::string>& texts) {
  cost::FittedConstants constants;
  for (const std::string& text : texts) {
    const size_t sign = text.find('=');
    const auto value = sign == std::string::npos ? std::nullopt : ParseDouble(text.substr(sign + 1));
    if (!value) return InvalidError(fmt::format("error: --constant {}: not of the form NAME=NUMBER", text));
    HELM_RETURN_IF_ERROR(cost::SetFittedConstant(text.substr(0, sign), *value, constants));
  }
  return constants;
}

Status Run(const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const std::vector<validation::Row> rows, ReadRows(arguments));
  HELM_ASSIGN_OR_RETURN(const config::ConfigContext context, MakeContext());
  HELM_ASSIGN_OR_RETURN(const cost::FittedConstants constants, ReadConstants(arguments.constants));
  HELM_ASSIGN_OR_RETURN(const auto make_predictor, tools::MakeValidationPredictorFactory(arguments.cost_tables, constants));
  tools::Progress progress("predicting");
  const validation::ValidateOptions options{.jobs = arguments.jobs,
                                            .progress = [&progress](int64_t done, int64_t total) { progress.Update(done, total, ""); }};
  HELM_ASSIGN_OR_RETURN(const std::vector<validation::Outcome> outcomes, validation::Validate(rows, context, make_predictor, options));
  progress.Clear();
  if (!arguments.html.empty()) HELM_RETURN_IF_ERROR(WriteFileAtomically(arguments.html, validation::RenderHtml(rows, outcomes)));
  if (arguments.json) {
    tools::PrintJson(validation::RenderJson(rows, outcomes));
  } else if (!arguments.explain.empty()) {
    for (const validation::Outcome& outcome : outcomes) tools::PrintResult(validation::Explain(rows[outcome.row], outcome));
  } else {
    tools::PrintResult(validation::RenderText(rows, outcomes));
  }
  return OkStatus();
}

}  // namespace
}  // namespace helm

int main(int argc, char** argv) {
  CLI::App app("Predicts published, measured runs and says how far off the predictions are.", "helm-validate");
  helm::Arguments arguments;
  app.add_option("suites", arguments.suites, "files of measured runs (helm-validation/1)")->required();
  app.add_option("--only", arguments.only, "only rows whose source (file name) or id contains this");
  app.add_option("--explain", arguments.explain, "the row with this id alone: what is known, what is predicted, where time and memory go");
  app.add_option("--html", arguments.html, "write a page with pictures");
  app.add_option("--cost-table", arguments.cost_tables, "measured costs (helm-profile); used for the rows of its device; may be repeated");
  app.add_option("--constant", arguments.constants, "NAME=NUMBER: replaces a fitted constant, to see what rests on it; may be repeated");
  app.add_option("--jobs", arguments.jobs, "threads; the result does not depend on them")->check(CLI::Range(1, 1024));
  app.add_flag("--json", arguments.json, "print one JSON document");
  if (const auto code = helm::tools::Parse(app, argc, argv)) return *code;
  return helm::tools::ExitCodeOf([&] { return helm::Run(arguments); });
}
