#include <sstream>

#include <fmt/format.h>

#include "profiler/profile.h"

namespace helm::profiler {
namespace {

constexpr std::string_view kOpPrefix = "op ";
constexpr std::string_view kCollectivePrefix = "collective ";

// "op PRODUCTS ATTENTION SIGNATURE"
Result<OpWork> ParseOpWork(const std::string& line) {
  std::istringstream words(line.substr(kOpPrefix.size()));
  OpWork work;
  std::string signature;
  if (!(words >> work.load.products >> work.load.attention >> std::ws) || !std::getline(words, signature)) {
    return InternalError("not an op of a work list: '" + line + "'");
  }
  HELM_ASSIGN_OR_RETURN(work.op, ir::ParseOpSignature(signature));
  return work;
}

}  // namespace

std::string ToText(const WorkList& work) {
  std::string text;
  for (const OpWork& work_of_op : work.ops) {
    const auto& [op, load] = work_of_op;
    text += fmt::format("{}{} {} {}\n", kOpPrefix, load.products, load.attention, ir::ToText(op));
  }
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
      HELM_ASSIGN_OR_RETURN(auto op, ParseOpWork(line));
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
