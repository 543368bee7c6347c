#include "ir/timeline.h"

#include <algorithm>

#include "core/check.h"

namespace helm::ir {

std::string_view Name(Stream::Kind kind) {
  switch (kind) {
    case Stream::Kind::kHost:
      return "host";
    case Stream::Kind::kCompute:
      return "compute";
    case Stream::Kind::kCommunication:
      return "communication";
  }
  return "unknown";
}

std::vector<TimelineOp> TimelineOps(const Program& program, const std::vector<std::string>& sources) {
  HELM_CHECK(sources.empty() || sources.size() == program.ops.size(), "one source for each op, or none");
  std::vector<TimelineOp> ops;
  ops.reserve(program.ops.size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    ops.push_back({op.target, op.label, std::string(Name(op.kind)), std::string(Name(op.phase)), sources.empty() ? "observed" : sources[i],
                   op.layer, op.micro_batch});
  }
  return ops;
}

std::vector<TimelineOp> TimelineOps(const StepPrograms& step) {
  std::vector<TimelineOp> all;
  for (const Program& program : step.classes) {
    const std::vector<TimelineOp> ops = TimelineOps(program, {});
    all.insert(all.end(), ops.begin(), ops.end());
  }
  return all;
}

Bytes PeakBytes(const Timeline& timeline) {
  Bytes peak;
  for (const RankSummary& rank : timeline.ranks) peak = std::max(peak, rank.memory_bytes_peak);
  return peak;
}

std::pair<std::string, std::string> TitlesApart(const Timeline& first, const Timeline& second) {
  const auto title = [](const Timeline& timeline) { return timeline.title.empty() ? std::string("timeline") : timeline.title; };
  if (title(first) != title(second)) return {title(first), title(second)};
  return {title(first) + " 1", title(second) + " 2"};
}

}  // namespace helm::ir
