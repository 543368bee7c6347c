// helm-sim: prices one strategy, of a run configuration or of a plan, without searching.
#include <map>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cluster/cluster_reader.h"
#include "core/file.h"
#include "ir/program_text.h"
#include "planner/evaluate.h"
#include "planner/render.h"
#include "planner/space.h"
#include "tools/command_line.h"
#include "tools/outputs.h"
#include "tools/pricing.h"
#include "tools/terminal.h"

namespace helm {
namespace {

struct Arguments {
  tools::ConfigArguments config;
  tools::TimelineOutputs outputs;
  std::string program;
  std::string dag;
  bool json = false;
  bool explain = false;
  bool require_measured = false;
  sim::Engine engine = sim::Engine::kAutomatic;
};

const std::map<std::string, sim::Engine> kEngines = {
    {"static", sim::Engine::kStatic}, {"event", sim::Engine::kEvent}, {"automatic", sim::Engine::kAutomatic}};

// What a search would decide is not decided here.
void NoteWhatDoesNothing(const config::RunConfig& config) {
  if (config.overlap_auto) tools::PrintNote("note: 'overlap: auto' is for helm-plan to decide; this is the strategy with 'overlap: none'");
  if (!config.strategy_given.contains("overlap") && config.strategy_given.contains("overlap_tiles")) {
    tools::PrintNote("note: 'overlap_tiles' does nothing without an 'overlap' that makes tiles: async_tp, helix, lattice, bucketed");
  }
}

// The plan to price, and the cluster it is for.
struct Subject {
  ir::Plan plan;
  cluster::Cluster cluster;
};

Result<Subject> ReadSubject(const Arguments& arguments) {
  Subject subject;
  if (tools::IsPlan(arguments.config.path)) {
    if (!arguments.config.overrides.empty()) return InvalidError("error: --set changes a run configuration; a plan is fixed");
    HELM_ASSIGN_OR_RETURN(subject.plan, ir::ReadPlan(arguments.config.path));
    HELM_ASSIGN_OR_RETURN(subject.cluster, cluster::ClusterFromJson(subject.plan.cluster));
    for (const std::string& table : arguments.config.cost_tables) subject.plan.cost_tables.push_back(table);
  } else {
    HELM_ASSIGN_OR_RETURN(const config::RunConfig config, tools::ReadConfig(arguments.config));
    HELM_RETURN_IF_ERROR(planner::CheckFixedStrategy(config));
    NoteWhatDoesNothing(config);
    subject.plan = planner::MakePlan(config, config.strategy);
    subject.cluster = config.cluster;
  }
  return subject;
}

Status WritePrograms(const Arguments& arguments, const ir::StepPrograms& step) {
  if (!arguments.program.empty()) HELM_RETURN_IF_ERROR(WriteFileAtomically(arguments.program, ir::ToText(step)));
  if (!arguments.dag.empty()) HELM_RETURN_IF_ERROR(tools::WriteDag(arguments.dag, step));
  return OkStatus();
}

Status Run(const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const Subject subject, ReadSubject(arguments));
  std::vector<std::string> outputs = tools::PathsOf(arguments.outputs);
  outputs.push_back(arguments.program);
  HELM_RETURN_IF_ERROR(tools::CheckOutputs(outputs, {arguments.config.path}));
  HELM_ASSIGN_OR_RETURN(
      const auto make_estimator,
      tools::MakeEstimatorFactory(subject.cluster, {subject.plan.cost_tables, arguments.require_measured, subject.plan.software}));
  HELM_ASSIGN_OR_RETURN(const auto estimator, make_estimator());
  // What is written is of every operator.
  const bool writes = tools::AnyOf(arguments.outputs) || !arguments.program.empty() || !arguments.dag.empty() || arguments.explain;
  const planner::StepForm form = writes ? planner::StepForm::kWrittenOut : planner::StepForm::kBySize;
  HELM_ASSIGN_OR_RETURN(
      const planner::Evaluation evaluation,
      planner::EvaluatePlan(subject.plan, *estimator, {.form = form, .engine = arguments.engine, .replay_allocator = true}));
  HELM_RETURN_IF_ERROR(tools::WriteTimelines(arguments.outputs, evaluation.simulation.timeline));
  HELM_RETURN_IF_ERROR(WritePrograms(arguments, evaluation.step));
  if (arguments.json) {
    tools::PrintJson(planner::RenderJson(evaluation));
  } else {
    tools::PrintResult(planner::RenderText(evaluation));
    if (arguments.explain) tools::PrintResult(tools::HiddenText(evaluation.simulation.timeline));
  }
  return OkStatus();
}

}  // namespace
}  // namespace helm

int main(int argc, char** argv) {
  CLI::App app("Predicts the step time and memory of one strategy.", "helm-sim");
  helm::Arguments arguments;
  app.add_option("config", arguments.config.path, "run configuration or plan")->required();
  app.add_option("--cost-table", arguments.config.cost_tables, "measured costs (helm-profile); may be repeated, later rows win");
  app.add_option("--set", arguments.config.overrides, "key=value over the configuration, e.g. strategy.tensor=2; may be repeated");
  helm::tools::AddTimelineOptions(app, arguments.outputs);
  app.add_option("--program", arguments.program, "write the text form of the programs, one for each pipeline stage");
  app.add_option("--dag", arguments.dag, "write the operator graph as DOT (and SVG where graphviz is installed) into this folder");
  app.add_option("--engine", arguments.engine, "static: kernels and collectives of a GPU do not slow each other down; event: they do")
      ->transform(CLI::CheckedTransformer(helm::kEngines))
      ->option_text("static|event|automatic");
  app.add_flag("--require-measured", arguments.require_measured, "fail when a cost is not in a table");
  app.add_flag("--explain", arguments.explain, "list what communication lies under what computation");
  app.add_flag("--json", arguments.json, "print one JSON document");
  if (const auto code = helm::tools::Parse(app, argc, argv)) return *code;
  return helm::tools::ExitCodeOf([&] { return helm::Run(arguments); });
}
