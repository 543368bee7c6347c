#include "sim/op_places.h"

#include <algorithm>
#include <map>

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

// In one action, whose layers end one after the other: what lies behind the end of one of them is of the next one, unless it is of none.
void KeepTogether(std::vector<int32_t>& layer, size_t first, size_t end) {
  std::map<int32_t, size_t> last;
  for (size_t i = first; i < end; ++i) last[layer[i]] = i;
  int32_t next = -1;
  for (size_t i = end; i-- > first;) {
    if (layer[i] < 0) continue;
    if (last.at(layer[i]) == i) next = layer[i];
    layer[i] = next;
  }
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
  for (size_t part = 0; part + 1 < places.first.size(); ++part) KeepTogether(places.layer, places.first[part], places.first[part + 1]);
  return places;
}

}  // namespace helm::sim
