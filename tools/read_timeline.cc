#include "tools/read_timeline.h"

#include <fmt/format.h>

#include "core/file.h"
#include "formats/foreign_file.h"
#include "formats/kineto_trace.h"
#include "formats/nsight_export.h"
#include "importer/device_work.h"
#include "importer/kineto_work.h"
#include "importer/nsight_work.h"
#include "tools/outputs.h"
#include "tools/terminal.h"

namespace helm::tools {
namespace {

Result<ir::Timeline> TimelineOfTrace(const importer::DeviceTrace& trace, const std::string& path) {
  HELM_ASSIGN_OR_RETURN(importer::ImportedTimeline imported, importer::TimelineOf(trace, path));
  for (const std::string& remark : imported.remarks) PrintNote(fmt::format("note: {}: {}", path, remark));
  for (const std::string& line : imported.omissions.Lines()) PrintNote(fmt::format("note: {}: {}", path, line));
  return std::move(imported.timeline);
}

}  // namespace

Result<ir::Timeline> ReadTimelineOrTrace(const std::string& path) {
  if (IsPlan(path)) {
    return InvalidError(fmt::format(
        "{}: error: this is a plan, not a timeline\n  fix: write its timeline with helm-sim {} --trace FILE and compare that", path, path));
  }
  HELM_ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
  const auto format = formats::ForeignFormatOf(content);
  if (format == formats::ForeignFormat::kNsightSystems) {
    HELM_ASSIGN_OR_RETURN(const formats::NsightExport measured, formats::ParseNsightExport(content, path));
    HELM_ASSIGN_OR_RETURN(const importer::DeviceTrace work, importer::WorkOf(measured, path));
    return TimelineOfTrace(work, path);
  }
  if (format == formats::ForeignFormat::kKineto) {
    HELM_ASSIGN_OR_RETURN(const formats::KinetoTrace trace, formats::ParseKinetoTrace(content, path));
    HELM_ASSIGN_OR_RETURN(const importer::DeviceTrace work, importer::WorkOf(trace, path));
    return TimelineOfTrace(work, path);
  }
  return ir::ReadTimeline(path);
}

}  // namespace helm::tools
