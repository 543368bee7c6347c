#include "exec/gradient_pass.h"

#include <algorithm>
#include <vector>

#include "ir/verify.h"
#include "schedule/edit.h"

namespace helm::exec {
namespace {

// Views that only left-out ops would have read go as well.
void DropUnreadViews(const ir::Program& program, std::vector<bool>* keep) {
  std::vector<bool> read(program.tensors.size());
  for (const auto& [name, tensor] : program.outputs) read[tensor.index()] = true;
  for (size_t i = program.ops.size(); i-- > 0;) {
    const ir::Op& op = program.ops[i];
    const auto is_read = [&](ir::TensorId result) { return result.valid() && read[result.index()]; };
    if (op.kind == ir::OpKind::kView && std::none_of(op.results.begin(), op.results.end(), is_read)) (*keep)[i] = false;
    if (!(*keep)[i]) continue;
    for (const ir::TensorId tensor : ir::TensorArguments(op)) read[tensor.index()] = true;
  }
}

// The newest version, within `pass`, of what the segment's gradients were scattered to.
ir::TensorId ReducedShard(const ir::Program& pass, const ir::ParameterSegment& segment) {
  ir::StorageId storage = segment.gradient_sharded ? segment.gradient : ir::StorageId();
  ir::TensorId newest;
  for (const ir::Op& op : pass.ops) {
    const bool scatters = !segment.gradient_sharded && op.target == "c10d.reduce_scatter" &&
                          pass.tensor(ir::TensorArguments(op).front()).storage == segment.gradient;
    if (scatters) storage = pass.tensor(op.results.front()).storage;
    for (const ir::TensorId result : op.results) {
      if (result.valid() && storage.valid() && pass.tensor(result).storage == storage && op.kind != ir::OpKind::kView) newest = result;
    }
  }
  return newest;
}

}  // namespace

std::string ShardOutput(const ir::ParameterSegment& segment) { return "gradient_shard." + segment.name; }

Result<ir::Program> GradientPass(const ir::Program& program) {
  const auto first = std::find_if(program.ops.begin(), program.ops.end(),
                                  [](const ir::Op& op) { return op.phase == ir::Phase::kOptimizer && op.kind == ir::OpKind::kCompute; });
  const size_t end = static_cast<size_t>(first - program.ops.begin());
  std::vector<bool> keep(program.ops.size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    keep[i] = i < end || (op.kind == ir::OpKind::kWait && ir::StartOf(op).index() < end);
  }
  DropUnreadViews(program, &keep);
  HELM_ASSIGN_OR_RETURN(ir::Program pass, schedule::KeepOps(program, keep));
  pass.name += ".gradients";
  for (const ir::ParameterSegment& segment : pass.segments) {
    if (segment.sharded_over.empty()) continue;
    const ir::TensorId shard = ReducedShard(pass, segment);
    if (!shard.valid()) return InternalError("segment '" + segment.name + "' is sharded, but its gradients are not scattered");
    pass.outputs[ShardOutput(segment)] = shard;
  }
  if (const Status status = ir::Verify(pass); !status.ok()) return InternalError(status.message());
  return pass;
}

}  // namespace helm::exec
