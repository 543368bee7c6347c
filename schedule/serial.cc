#include "schedule/serial.h"

#include <vector>

#include "schedule/edit.h"

namespace helm::schedule {

ir::Program MakeSerial(const ir::Program& program) {
  std::vector<std::vector<ir::OpId>> waits_of(program.ops.size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (program.ops[i].kind == ir::OpKind::kWait) waits_of[ir::StartOf(program.ops[i]).index()].push_back(ir::OpId(i));
  }
  std::vector<ir::OpId> order;
  order.reserve(program.ops.size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (program.ops[i].kind == ir::OpKind::kWait) continue;
    order.push_back(ir::OpId(i));
    order.insert(order.end(), waits_of[i].begin(), waits_of[i].end());
  }
  return Reorder(program, order);
}

}  // namespace helm::schedule
