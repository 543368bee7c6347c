#include "tools/outputs.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>

#include "core/file.h"
#include "formats/chrome_trace.h"
#include "formats/perfetto_trace.h"
#include "ir/graph.h"
#include "report/hidden.h"
#include "tools/terminal.h"

extern char** environ;

namespace helm::tools {
namespace {

// Runs `dot`; false when there is none or it failed.
bool RunGraphviz(const std::string& dot_path, const std::string& svg_path) {
  std::string program = "dot";
  std::string format = "-Tsvg";
  std::string output = "-o" + svg_path;
  std::string input = dot_path;
  char* const arguments[] = {program.data(), format.data(), output.data(), input.data(), nullptr};
  pid_t process = 0;
  if (posix_spawnp(&process, "dot", nullptr, nullptr, arguments, environ) != 0) return false;
  int state = 0;
  return waitpid(process, &state, 0) == process && WIFEXITED(state) && WEXITSTATUS(state) == 0;
}

Status CheckOutput(const std::string& path, const std::vector<std::string>& inputs) {
  if (FolderExists(path)) return InvalidError(fmt::format("{}: error: this is a folder; name a file to write", path));
  const std::string folder = FolderOf(path);
  if (!FolderExists(folder)) return InvalidError(fmt::format("{}: error: there is no folder {}\n  fix: make it", path, folder));
  // A link or a device is written in place.
  if (access((std::filesystem::exists(path) ? path : folder).c_str(), W_OK) != 0) {
    return InvalidError(fmt::format("{}: error: cannot be written: {}", path, std::strerror(errno)));
  }
  std::error_code error;
  for (const std::string& input : inputs) {
    if (!std::filesystem::equivalent(path, input, error)) continue;
    return InvalidError(
        fmt::format("{}: error: this is an input of the command; it would be overwritten\n  fix: name another file to write", path));
  }
  return OkStatus();
}

}  // namespace

Status CheckOutputs(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs) {
  for (const std::string& path : outputs) {
    if (!path.empty()) HELM_RETURN_IF_ERROR(CheckOutput(path, inputs));
  }
  return OkStatus();
}

std::vector<std::string> PathsOf(const TimelineOutputs& outputs) {
  std::vector<std::string> paths = {outputs.trace, outputs.perfetto};
  if (!outputs.chrome_trace.ends_with('/')) paths.push_back(outputs.chrome_trace);  // a folder is made when it is written to
  return paths;
}

bool AnyOf(const TimelineOutputs& outputs) { return !outputs.trace.empty() || !outputs.chrome_trace.empty() || !outputs.perfetto.empty(); }

void AddTimelineOptions(CLI::App& app, TimelineOutputs& outputs) {
  app.add_option("--trace", outputs.trace, "write the timeline, as helm-compare reads it");
  app.add_option("--chrome-trace", outputs.chrome_trace,
                 "write the timeline for Perfetto and chrome://tracing; FOLDER/ writes a file for each rank there, as HTA wants them");
  app.add_option("--perfetto", outputs.perfetto, "write the timeline as Perfetto's protobuf, with flows and memory counters");
}

Status WriteTimelines(const TimelineOutputs& outputs, const ir::Timeline& timeline) {
  if (!outputs.trace.empty()) HELM_RETURN_IF_ERROR(ir::WriteTimeline(timeline, outputs.trace));
  if (outputs.chrome_trace.ends_with('/')) {
    const std::string folder = outputs.chrome_trace.substr(0, outputs.chrome_trace.size() - 1);
    HELM_RETURN_IF_ERROR(MakeFolders(folder));
    HELM_RETURN_IF_ERROR(formats::WriteChromeTracesByRank(timeline, folder));
  } else if (!outputs.chrome_trace.empty()) {
    HELM_ASSIGN_OR_RETURN(const std::string trace, formats::ToChromeTrace(timeline));
    HELM_RETURN_IF_ERROR(WriteFileAtomically(outputs.chrome_trace, trace));
  }
  if (!outputs.perfetto.empty()) {
    HELM_ASSIGN_OR_RETURN(const std::string trace, formats::ToPerfettoTrace(timeline));
    HELM_RETURN_IF_ERROR(WriteFileAtomically(outputs.perfetto, trace));
  }
  return OkStatus();
}

Status WriteDag(const std::string& folder, const ir::StepPrograms& step) {
  HELM_RETURN_IF_ERROR(MakeFolders(folder));
  for (size_t c = 0; c < step.classes.size(); ++c) {
    const char* const of = step.share_ranks.empty() ? "stage" : "class";  // of stages of each share
    const std::string base = folder + (step.classes.size() == 1 ? "/program" : fmt::format("/{}{}", of, c));
    HELM_ASSIGN_OR_RETURN(const std::string dot, DotOf(step.classes[c]));
    HELM_RETURN_IF_ERROR(WriteFileAtomically(base + ".dot", dot));
    PrintNote(fmt::format("wrote {}.dot", base));
    if (RunGraphviz(base + ".dot", base + ".svg")) PrintNote(fmt::format("wrote {}.svg", base));
  }
  return OkStatus();
}

Result<std::string> DotOf(const ir::Program& program) {
  HELM_ASSIGN_OR_RETURN(const ir::DependencyGraph graph, ir::TransitiveReduction(program, ir::BuildDependencies(program)));
  return ir::ToDot(program, graph);
}

bool IsPlan(const std::string& path) {
  const auto text = ReadFile(path);
  if (!text.ok()) return false;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("format:")) return line.find("helm-plan/") != std::string::npos;
  }
  return false;
}

std::string HiddenText(const ir::Timeline& timeline) {
  const std::string rows = report::RenderHidden(report::HiddenCommunication(timeline));
  return rows.empty() ? "" : "communication of rank 0, and what computes beside it:\n" + rows;
}

}  // namespace helm::tools
