// helm-plan: searches the space of a run configuration and writes the best plan.
#include <algorithm>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "core/file.h"
#include "core/hash.h"
#include "core/stamp.h"
#include "core/text.h"
#include "exporter/exporter.h"
#include "planner/render.h"
#include "planner/search.h"
#include "planner/size_search.h"
#include "tools/command_line.h"
#include "tools/outputs.h"
#include "tools/plan_questions.h"
#include "tools/pricing.h"
#include "tools/terminal.h"

namespace helm {
namespace {

struct Arguments {
  tools::ConfigArguments config;
  tools::TimelineOutputs outputs;
  std::string out = "plan.yaml";
  int64_t threads = std::max<int64_t>(1, std::thread::hardware_concurrency());
  double time_limit_s = 0;
  std::string trainer;      // --export
  std::string export_file;  // empty: to stdout, in place of the report
  bool explain = false;
  bool json = false;
  bool require_measured = false;
};

// The trainer that can yet be told the plan: that of its framework.
std::string TrainerOf(const Arguments& arguments, const ir::Plan& plan) {
  if (!arguments.trainer.empty()) return "";
  const std::string trainer = exporter::TrainerOfFramework(plan.software.framework).value_or("");
  return !trainer.empty() && exporter::Export(trainer, plan).ok() ? trainer : "";
}

// What is found: on how many devices, and, where that was searched too, the best plan of each number.
struct Found {
  config::RunConfig config;
  planner::SearchResult result;
  std::optional<std::vector<planner::ClusterPart>> parts;
};

void Print(const Arguments& arguments, const Found& found) {
  const planner::SearchResult& result = found.result;
  const std::vector<planner::ClusterPart>* parts = found.parts ? &*found.parts : nullptr;
  if (arguments.json) {
    tools::PrintJson(planner::RenderJson(found.config, result, parts));
  } else {
    tools::PrintResult(planner::RenderText(
        found.config, result,
        {.plan_path = arguments.out, .trainer = TrainerOf(arguments, result.best.plan), .parts = parts, .explain = arguments.explain}));
    if (arguments.explain) tools::PrintResult(tools::HiddenText(result.best.simulation.timeline));
  }
}

// To the file, and what it names beside it; or to stdout.
Status WriteExport(const Arguments& arguments, const ir::Plan& plan) {
  HELM_ASSIGN_OR_RETURN(const exporter::Exported exported, exporter::Export(arguments.trainer, plan));
  if (arguments.export_file.empty()) {
    tools::PrintResult(exported.text);
    for (const exporter::File& file : exported.more)
      tools::PrintNote(fmt::format("it names {}, which --export-file writes beside it", file.name));
    return OkStatus();
  }
  HELM_RETURN_IF_ERROR(WriteFileAtomically(arguments.export_file, exported.text));
  tools::PrintNote(fmt::format("wrote {}", arguments.export_file));
  for (const exporter::File& file : exported.more) {
    const std::string path = ResolvePath(FolderOf(arguments.export_file), file.name);
    HELM_RETURN_IF_ERROR(WriteFileAtomically(path, file.text));
    tools::PrintNote(fmt::format("wrote {}", path));
  }
  return OkStatus();
}

planner::Expressible ExpressibleBy(const std::string& trainer, const config::RunConfig& config) {
  return [trainer, &config](const ir::Strategy& strategy) {
    return exporter::CheckExpressible(trainer, {config.model, config.cluster, config.workload, config.software, strategy});
  };
}

// Without a search.
Status ExportPlan(const Arguments& arguments) {
  HELM_RETURN_IF_ERROR(tools::CheckOutputs({arguments.export_file}, {arguments.config.path}));
  HELM_ASSIGN_OR_RETURN(const ir::Plan plan, ir::ReadPlan(arguments.config.path));
  return WriteExport(arguments, plan);
}

// What the plan was made from: the files that were named, not those that they name in turn, which the plan holds written out.
Result<nlohmann::ordered_json> StampOf(const Arguments& arguments, const config::RunConfig& config) {
  StampInputs stamp;
  stamp.seed = config.workload.seed;
  stamp.extra["device"] = config.cluster.device.name;
  std::vector<std::string> files = config.cost_tables;
  files.push_back(arguments.config.path);
  for (const std::string& file : files) {
    if (!FileExists(file)) continue;  // a pipe has nothing left to read
    HELM_ASSIGN_OR_RETURN(stamp.hashes[file], HashFile(file));
  }
  return MakeStamp(stamp);
}

// By the configuration's objective.
Result<Found> FindPlan(const Arguments& arguments, const config::RunConfig& config, const planner::SearchRun& run) {
  bool quiet = false;  // it is warned once of what nobody measured
  const auto estimators = [&](const cluster::Cluster& cluster) {
    return tools::MakeEstimatorFactory(cluster,
                                       {config.cost_tables, arguments.require_measured, config.software, std::exchange(quiet, true)});
  };
  if (config.search.objective == config::Objective::kStepTime) {
    HELM_ASSIGN_OR_RETURN(const auto make_estimator, estimators(config.cluster));
    HELM_ASSIGN_OR_RETURN(planner::SearchResult result, planner::Search(config, make_estimator, run));
    return Found{config, std::move(result), std::nullopt};
  }
  HELM_ASSIGN_OR_RETURN(planner::SizeSearch sizes, planner::SearchSizes(config, estimators, run));
  return Found{std::move(sizes.config), std::move(sizes.chosen), std::move(sizes.parts)};
}

Status Run(const Arguments& arguments) {
  if (!arguments.trainer.empty() && tools::IsPlan(arguments.config.path)) return ExportPlan(arguments);
  HELM_ASSIGN_OR_RETURN(config::RunConfig config, tools::ReadConfig(arguments.config));
  std::vector<std::string> outputs = tools::PathsOf(arguments.outputs);
  outputs.push_back(arguments.out);
  outputs.push_back(arguments.export_file);
  std::vector<std::string> inputs = config.cost_tables;
  inputs.push_back(arguments.config.path);
  HELM_RETURN_IF_ERROR(tools::CheckOutputs(outputs, inputs));
  if (arguments.time_limit_s > 0) config.search.time_limit_s = arguments.time_limit_s;
  tools::Progress progress("searching");
  planner::SearchRun run;
  run.threads = arguments.threads;
  run.timeline = tools::AnyOf(arguments.outputs);
  if (!arguments.trainer.empty()) run.expressible = ExpressibleBy(arguments.trainer, config);
  run.interrupted = tools::WatchInterrupt();
  run.progress = [&](int64_t done, int64_t total) { progress.Update(done, total, ""); };
  HELM_ASSIGN_OR_RETURN(const Found found, FindPlan(arguments, config, run));
  const planner::SearchResult& result = found.result;
  progress.Clear();

  ir::Plan plan = result.best.plan;
  plan.cost_tables = tools::AbsolutePaths(config.cost_tables);
  HELM_ASSIGN_OR_RETURN(plan.stamp, StampOf(arguments, config));
  HELM_RETURN_IF_ERROR(ir::WritePlan(plan, arguments.out));
  if (result.best_not_written_out_because.empty()) {
    HELM_RETURN_IF_ERROR(tools::WriteTimelines(arguments.outputs, result.best.simulation.timeline));
  } else {
    tools::PrintNote(fmt::format("{} is without the hash of its program{}: its step was not written out, {}", arguments.out,
                                 run.timeline ? ", and no timeline was written" : "", result.best_not_written_out_because));
  }
  if (!arguments.trainer.empty()) {
    if (!result.complete) tools::PrintNote("the search was stopped early: this is the best plan so far (--time-limit)");
    HELM_RETURN_IF_ERROR(WriteExport(arguments, plan));
  }
  if (arguments.trainer.empty() || !arguments.export_file.empty()) Print(arguments, found);
  if (!result.interrupted) return OkStatus();
  return {StatusCode::kInterrupted, fmt::format("error: interrupted; {} holds the best plan so far", arguments.out)};
}

}  // namespace
}  // namespace helm

int main(int argc, char** argv) {
  if (const auto code = helm::tools::AnswerPlanQuestion(argc, argv)) return *code;
  CLI::App app("Finds the fastest plan that fits. Of plans: helm-plan why-not|diff|what-if --help.", "helm-plan");
  helm::Arguments arguments;
  app.add_option("config", arguments.config.path, "run configuration (docs/formats/run_config.md); with --export also a plan")->required();
  app.add_option("--out", arguments.out, "plan file to write");
  app.add_option("--cost-table", arguments.config.cost_tables, "measured costs (helm-profile); may be repeated, later rows win");
  app.add_option("--set", arguments.config.overrides, "key=value over the configuration, e.g. strategy.tensor=2; may be repeated");
  app.add_option("--threads", arguments.threads, "threads of the search (default: one a core); the plan does not depend on it")
      ->check(CLI::Range(1, 1024));
  app.add_option("--time-limit", arguments.time_limit_s, "seconds; the best plan so far is written (default: search.time_limit_s)")
      ->check(CLI::Range(0.0, 1e9));
  auto* const trainer = app.add_option("--export", arguments.trainer,
                                       "print the best plan that a trainer can be told: lines or a file to paste (docs/export.md)")
                            ->check(CLI::IsMember(helm::exporter::TrainerNames()))
                            ->option_text(helm::Join(helm::exporter::TrainerNames(), "|"));
  app.add_option("--export-file", arguments.export_file, "write it there, with the files that it names beside it")->needs(trainer);
  helm::tools::AddTimelineOptions(app, arguments.outputs);
  app.add_flag("--explain", arguments.explain, "list every strategy and why it lost, and what the best plan hides under what");
  app.add_flag("--require-measured", arguments.require_measured, "fail when a cost is not in a table");
  app.add_flag("--json", arguments.json, "print one JSON document");
  if (const auto code = helm::tools::Parse(app, argc, argv)) return *code;
  return helm::tools::ExitCodeOf([&] { return helm::Run(arguments); });
}
