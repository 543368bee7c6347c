// helm-opt: reads a program's text form, checks it, and prints it, its hash, or its graph.
#include <optional>

#include <CLI/CLI.hpp>

#include "core/file.h"
#include "ir/program_text.h"
#include "ir/verify.h"
#include "schedule/pass.h"
#include "tools/command_line.h"
#include "tools/outputs.h"
#include "tools/terminal.h"

namespace helm {
namespace {

struct Arguments {
  std::string path;
  std::vector<std::string> passes;
  bool hash = false;
  bool dot = false;
  bool quiet = false;
};

Status Run(const Arguments& arguments) {
  HELM_ASSIGN_OR_RETURN(const std::string text, ReadFile(arguments.path));
  HELM_ASSIGN_OR_RETURN(ir::StepPrograms step, ir::ParseStepPrograms(text, arguments.path));
  HELM_RETURN_IF_ERROR(ir::VerifyStep(step));
  for (const std::string& pass : arguments.passes) {
    for (ir::Program& program : step.classes) {
      HELM_ASSIGN_OR_RETURN(program, schedule::RunPass(pass, program));
    }
  }
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
  app.add_flag("--hash", arguments.hash, "print the program's hash instead");
  app.add_flag("--dot", arguments.dot, "print the dependency graph as DOT instead");
  app.add_flag("--check", arguments.quiet,
               "print nothing; the exit code says whether the program is well formed (not whether its operators exist)");
  if (const auto code = helm::tools::Parse(app, argc, argv)) return *code;
  return helm::tools::ExitCodeOf([&] { return helm::Run(arguments); });
}
