// helm-opt: reads a program's text form, checks it, runs passes on it, and prints it, its hash, or its graph.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "cluster/device_groups.h"
#include "core/file.h"
#include "ir/program_text.h"
#include "ir/verify.h"
#include "planner/evaluate.h"
#include "planner/prediction.h"
#include "schedule/accept.h"
#include "schedule/pass.h"
#include "tools/command_line.h"
#include "tools/outputs.h"
#include "tools/pricing.h"
#include "tools/terminal.h"

namespace helm {
namespace {

struct Arguments {
  std::string path;
  std::vector<std::string> passes;
  tools::ConfigArguments config;
  bool hash = false;
  bool dot = false;
  bool quiet = false;
};

Status RunPassesAlone(const std::vector<std::string>& passes, ir::StepPrograms& step) {
  for (const std::string& pass : passes) {
    for (ir::Program& program : step.classes) {
      HELM_ASSIGN_OR_RETURN(program, schedule::RunPass(pass, program));
    }
  }
  return OkStatus();
}

// With a configuration their result is kept only where the simulated step is faster and fits.
Status RunPasses(const Arguments& arguments, ir::StepPrograms& step) {
  if (arguments.passes.empty() || arguments.config.path.empty()) return RunPassesAlone(arguments.passes, step);
  HELM_ASSIGN_OR_RETURN(const config::RunConfig config, tools::ReadConfig(arguments.config));
  HELM_RETURN_IF_ERROR(cluster::RefuseGroups(config.cluster, "helm-opt", "give it a configuration with one kind of node"));
  HELM_ASSIGN_OR_RETURN(const planner::EstimatorFactory make_estimator,
                        tools::MakeEstimatorFactory(config.cluster, {.cost_tables = config.cost_tables, .software = config.software}));
  HELM_ASSIGN_OR_RETURN(const std::unique_ptr<cost::Estimator> estimator, make_estimator());
  sim::PriceBook prices = planner::MakePriceBook(*estimator, config.cluster);
  const Bytes capacity = planner::MemoryCapacity(config.cluster, config.search.memory_fraction);
  sim::SimulationOptions options = planner::SimulationOptionsFor(config.cluster, prices);
  options.engine = sim::Engine::kAutomatic;
  HELM_ASSIGN_OR_RETURN(schedule::Acceptance acceptance, schedule::RunPassesIfBetter(step, arguments.passes, prices, options, capacity));
  for (const std::string& choice : acceptance.choices) tools::PrintNote(choice);
  tools::PrintNote(acceptance.reason);
  step = std::move(acceptance.step);
  return OkStatus();
}

Status Run(const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const std::string text, ReadFile(arguments.path));
  HELM_ASSIGN_OR_RETURN(ir::StepPrograms step, ir::ParseStepPrograms(text, arguments.path));
  HELM_RETURN_IF_ERROR(ir::VerifyStep(step));
  HELM_RETURN_IF_ERROR(RunPasses(arguments, step));
  if (arguments.hash) {
    tools::PrintResult(ir::ProgramHash(step) + "\n");
  } else if (arguments.dot) {
    for (const ir::Program& program : step.classes) {
      HELM_ASSIGN_OR_RETURN(const std::string dot, tools::DotOf(program));
      tools::PrintResult(dot);
    }
  } else if (!arguments.quiet) {
    tools::PrintResult(ir::ToText(step));
  }
  return OkStatus();
}

}  // namespace
}  // namespace helm

int main(int argc, char** argv) {
  CLI::App app("Checks a program and prints it; runs passes on it.", "helm-opt");
  helm::Arguments arguments;
  app.add_option("program", arguments.path, "program text (docs/formats/program.md), as `helm-sim --program` writes it")->required();
  app.add_option("--pass", arguments.passes, "run a pass, name or name=value; may be repeated");
  app.add_option("--config", arguments.config.path,
                 "run configuration whose cluster prices the ops: for passes that need it; the result is kept only where it is faster");
  app.add_option("--cost-table", arguments.config.cost_tables, "measured costs, with --config; may be repeated");
  app.add_flag("--hash", arguments.hash, "print the program's hash instead");
  app.add_flag("--dot", arguments.dot, "print the dependency graph as DOT instead");
  app.add_flag("--check", arguments.quiet,
               "print nothing; the exit code says whether the program is well formed (not whether its operators exist)");
  if (const auto code = helm::tools::Parse(app, argc, argv)) return *code;
  return helm::tools::ExitCodeOf([&] { return helm::Run(arguments); });
}
