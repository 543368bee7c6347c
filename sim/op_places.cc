#include "sim/op_places.h"

#include <algorithm>

namespace helm::sim {
namespace {

std::vector<size_t> FirstOps(const std::vector<int32_t>& action_of, size_t actions) {
  std::vector<size_t> first(actions + 3, action_of.size());
  size_t behind_last = 0;
  for (size_t i = action_of.size(); i-- > 0;) {
    if (action_of[i] < 0) continue;
    first[static_cast<size_t>(action_of[i]) + 1] = i;
    behind_last = std::max(behind_last, i + 1);
  }
  first[actions + 1] = behind_last;
  for (size_t a = actions; a > 0; --a) first[a] = std::min(first[a], first[a + 1]);  // an action without ops
  first[0] = 0;
  return first;
}

}  // namespace

OpPlaces PlacesOf(const ir::Program& program) {
  OpPlaces places;
  size_t start = 0;  // of the run of waits that op i is in: the op before it
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    const bool moved = op.kind == ir::OpKind::kWait && ir::StartOf(op) == ir::OpId(start);
    if (op.kind != ir::OpKind::kWait) start = i;
    places.action.push_back(moved ? places.action[start] : op.action);
    places.layer.push_back(moved ? places.layer[start] : op.layer);
  }
  places.first = FirstOps(places.action, program.schedule.size());
  return places;
}

}  // namespace helm::sim
