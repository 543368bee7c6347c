#include <sstream>

#include <fmt/format.h>

#include "profiler/profile.h"

namespace helm::profiler {
namespace {

constexpr std::string_view kOpPrefix = "op ";
constexpr std::string_view kCollectivePrefix = "collective ";
constexpr std::string_view kPairPrefix = "pair ";

struct LoadedText {
  ir::DeviceLoad load;
  std::string signature;
};

// "PREFIX PRODUCTS ATTENTION SIGNATURE"
Result<LoadedText> ParseLoad(const std::string& line, std::string_view prefix) {
  std::istringstream words(line.substr(prefix.size()));
  LoadedText work;
  if (!(words >> work.load.products >> work.load.attention >> std::ws) || !std::getline(words, work.signature)) {
    return InternalError("not an op of a work list: '" + line + "'");
  }
  return work;
}

Result<OpWork> ParseOpWork(const std::string& line) {
  HELM_ASSIGN_OR_RETURN(const LoadedText work, ParseLoad(line, kOpPrefix));
  HELM_ASSIGN_OR_RETURN(ir::OpSignature op, ir::ParseOpSignature(work.signature));
  return OpWork{std::move(op), work.load};
}

Result<PairWork> ParsePairWork(const std::string& line) {
  HELM_ASSIGN_OR_RETURN(const LoadedText work, ParseLoad(line, kPairPrefix));
  HELM_ASSIGN_OR_RETURN(cost::PairSignature pair, cost::ParsePairSignature(work.signature));
  return PairWork{{std::move(pair.op), work.load}, std::move(pair.collective)};
}

}  // namespace

std::string KeyOf(const PairWork& pair) { return cost::ToText(cost::PairSignature{pair.op.op, pair.collective}); }

std::string ToText(const WorkList& work) {
  std::string text;
  for (const OpWork& work_of_op : work.ops) {
    const auto& [op, load] = work_of_op;
    text += fmt::format("{}{} {} {}\n", kOpPrefix, load.products, load.attention, ir::ToText(op));
  }
  for (const ir::CollectiveSignature& collective : work.collectives) {
    text.append(kCollectivePrefix).append(ir::ToText(collective)).append("\n");
  }
  for (const PairWork& pair : work.pairs) {
    const ir::DeviceLoad& load = pair.op.load;
    text += fmt::format("{}{} {} {}\n", kPairPrefix, load.products, load.attention, KeyOf(pair));
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
    } else if (line.starts_with(kPairPrefix)) {
      HELM_ASSIGN_OR_RETURN(auto pair, ParsePairWork(line));
      work.pairs.push_back(std::move(pair));
    } else {
      return InternalError("not a line of a work list: '" + line + "'");
    }
  }
  return work;
}

}  // namespace helm::profiler
