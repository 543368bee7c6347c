#include "exec/gradient_pass.h"

#include <algorithm>
#include <vector>

#include "ir/verify.h"
#include "schedule/edit.h"

namespace helm::exec {

Result<ir::Program> GradientPass(const ir::Program& program) {
  const auto first = std::find_if(program.ops.begin(), program.ops.end(), [](const ir::Op& op) {
    return op.phase == ir::Phase::kOptimizer && op.kind == ir::OpKind::kCompute;
  });
  const size_t end = static_cast<size_t>(first - program.ops.begin());
  std::vector<bool> keep(program.ops.size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    keep[i] = i < end || (op.kind == ir::OpKind::kWait && ir::StartOf(op).index() < end);
  }
  HELM_ASSIGN_OR_RETURN(ir::Program pass, schedule::KeepOps(program, keep));
  pass.name += ".gradients";
  HELM_RETURN_IF_ERROR(ir::Verify(pass));
  return pass;
}

}  // namespace helm::exec
