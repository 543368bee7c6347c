#include "ir/stream_layout.h"

#include <algorithm>
#include <map>
#include <string>

#include <fmt/format.h>

#include "core/check.h"

namespace helm::ir {
namespace {

std::string RowName(const Program& program, const Op& start) {
  const std::string& group = program.group(start.group).name;
  if (!IsPointToPoint(start)) return "communication." + group;
  const int64_t size = GroupSize(program, start.group);
  const int64_t offset = PeerOffset(program, start);
  return fmt::format("communication.{}.{}{:+}", group, start.target == "c10d.send" ? "send" : "recv",
                     2 * offset > size ? offset - size : offset);
}

}  // namespace

StreamLayout::StreamLayout(const StepPrograms& step) {
  // By group, then name: the order does not depend on which class has what.
  std::map<std::pair<int32_t, std::string>, bool> rows;
  for (const Program& program : step.classes) {
    for (const Op& op : program.ops) {
      compute_count_ = std::max(compute_count_, op.compute_stream + 1);
      if (op.kind == OpKind::kCollectiveStart) rows[{op.group.value, RowName(program, op)}] = true;
    }
  }
  streams_.push_back({Stream::Kind::kHost, 0, "host"});
  for (int32_t k = 0; k < compute_count_; ++k) {
    streams_.push_back({Stream::Kind::kCompute, k, k == 0 ? "compute" : fmt::format("compute.{}", k)});
  }
  for (const auto& [row, present] : rows) streams_.push_back({Stream::Kind::kCommunication, row.first, row.second});
}

int32_t StreamLayout::communication(const Program& program, const Op& start) const {
  const auto found = std::ranges::find(streams_, RowName(program, start), &Stream::name);
  HELM_CHECK(found != streams_.end(), "the layout has a row for every collective of its step");
  return static_cast<int32_t>(found - streams_.begin());
}

}  // namespace helm::ir
