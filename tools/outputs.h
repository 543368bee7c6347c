// Files that several tools write: timelines in HELM's, Chrome's and Perfetto's form, operator graphs.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "core/status.h"
#include "ir/step_programs.h"
#include "ir/timeline.h"

namespace helm::tools {

struct TimelineOutputs {
  std::string trace;         // helm-timeline JSON, what helm-compare reads
  std::string chrome_trace;  // for Perfetto and chrome://tracing; a folder (`/` at its end): one file for each rank, for HTA
  std::string perfetto;      // Perfetto's protobuf: flows and memory counters too
};

// Before a long run: that each of `outputs` (empty ones are left out) can be written, so that its result is not lost, and is none of
// `inputs`.
Status CheckOutputs(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs);
std::vector<std::string> PathsOf(const TimelineOutputs& outputs);
bool AnyOf(const TimelineOutputs& outputs);

void AddTimelineOptions(CLI::App& app, TimelineOutputs& outputs);
Status WriteTimelines(const TimelineOutputs& outputs, const ir::Timeline& timeline);

// The operator graph without the edges that longer paths imply, as DOT.
Result<std::string> DotOf(const ir::Program& program);

// `folder`/program.dot, of pipelines stage0.dot, stage1.dot, ..., and the same as .svg when graphviz's `dot` can be run.
Status WriteDag(const std::string& folder, const ir::StepPrograms& step);

// True when the file says that it is a plan (its `format` key), whatever its name. False for anything else, unreadable files included.
bool IsPlan(const std::string& path);

// What communication lies under what computation, for people; nothing where the timeline has none.
std::string HiddenText(const ir::Timeline& timeline);

}  // namespace helm::tools
