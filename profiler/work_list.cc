#include <sstream>

#include "profiler/profile.h"

namespace helm::profiler {
namespace {

constexpr std::string_view kOpPrefix = "op ";
constexpr std::string_view kCollectivePrefix = "collective ";

}  // namespace

std::string ToText(const WorkList& work) {
  std::string text;
  for (const ir::OpSignature& op : work.ops) text.append(kOpPrefix).append(ir::ToText(op)).append("\n");
  for (const ir::CollectiveSignature& collective : work.collectives) {
    text.append(kCollectivePrefix).append(ir::ToText(collective)).append("\n");
  }
  return text;
}

Result<WorkList> ParseWorkList(std::string_view text) {
  WorkList work;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(kOpPrefix)) {
      HELM_ASSIGN_OR_RETURN(auto op, ir::ParseOpSignature(std::string_view(line).substr(kOpPrefix.size())));
      work.ops.push_back(std::move(op));
    } else if (line.starts_with(kCollectivePrefix)) {
      HELM_ASSIGN_OR_RETURN(auto collective, ir::ParseCollectiveSignature(std::string_view(line).substr(kCollectivePrefix.size())));
      work.collectives.push_back(std::move(collective));
    } else {
      return InternalError("not a line of a work list: '" + line + "'");
    }
  }
  return work;
}

}  // namespace helm::profiler
