#include <cinttypes>
#include <cstdio>
#include <sstream>

#include "profiler/profile.h"

namespace helm::profiler {
namespace {

constexpr std::string_view kOpPrefix = "op ";
constexpr std::string_view kCollectivePrefix = "collective ";

// The text form of ir::ToText(CollectiveSignature): `all_reduce f32 ranks=4 per_node=2 bytes=1048576`.
Result<ir::CollectiveSignature> ParseCollective(const std::string& text) {
  char kind[64];
  char dtype[16];
  int64_t ranks = 0;
  int64_t per_node = 0;
  int64_t bytes = 0;
  const int fields = std::sscanf(text.c_str(), "%63s %15s ranks=%" SCNd64 " per_node=%" SCNd64 " bytes=%" SCNd64, kind, dtype, &ranks,
                                 &per_node, &bytes);
  const auto type = fields >= 2 ? ir::DataTypeFromName(dtype) : std::nullopt;
  if (fields != 5 || !type) return InternalError("not a collective signature: '" + text + "'");
  return ir::CollectiveSignature{kind, *type, ranks, per_node, Bytes(bytes)};
}

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
      HELM_ASSIGN_OR_RETURN(auto collective, ParseCollective(line.substr(kCollectivePrefix.size())));
      work.collectives.push_back(std::move(collective));
    } else {
      return InternalError("not a line of a work list: '" + line + "'");
    }
  }
  return work;
}

}  // namespace helm::profiler
