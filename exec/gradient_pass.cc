#include "exec/gradient_pass.h"

#include <algorithm>
#include <vector>

#include "ir/frozen.h"
#include "ir/verify.h"
#include "schedule/edit.h"

namespace helm::exec {
namespace {

// Where a segment's gradients are scattered to: a storage, or of one that several share its part.
struct ShardPlace {
  ir::StorageId storage;
  ir::Extent extent;
};

// Of buckets that are reduced together (schedule/joined_collectives.h) each is a part of what the reduction reads, and in the same order of
// what it makes.
std::vector<ir::TensorId> PartsOf(const ir::Program& program, ir::TensorId tensor) {
  ir::OpId producer = program.tensor(tensor).producer;
  while (producer.valid() && program.op(producer).kind == ir::OpKind::kView) {
    producer = program.tensor(ir::TensorArguments(program.op(producer)).front()).producer;
  }
  if (!producer.valid() || program.op(producer).target != "aten.cat") return {tensor};
  return ir::TensorArguments(program.op(producer));
}

ShardPlace PlaceOfShard(const ir::Program& program, const ir::ParameterSegment& segment) {
  const int64_t elements = segment.elements / ir::PlaceAlong(program.mesh, ir::Coordinates(program.mesh, 0), segment.sharded_over).ranks;
  const auto place = [&](ir::StorageId storage, ir::DataType dtype, int64_t begin) {
    return ShardPlace{storage, {begin * ir::ElementBytes(dtype), (begin + elements) * ir::ElementBytes(dtype)}};
  };
  if (segment.gradient_sharded) return place(segment.gradient, ir::DataType::kFloat32, segment.gradient_offset);
  for (const ir::Op& op : program.ops) {
    if (op.target != "c10d.reduce_scatter") continue;
    const ir::Tensor& result = program.tensor(op.results.front());
    int64_t begin = 0;
    for (const ir::TensorId part : PartsOf(program, ir::TensorArguments(op).front())) {
      if (program.tensor(part).storage == segment.gradient) return place(result.storage, result.dtype, begin);
      begin += ir::ElementCount(program.tensor(part).shape) / ir::GroupSize(program, op.group);
    }
  }
  return {};
}

// The newest version, among the ops that stay, of what the segment's gradients were scattered to.
ir::TensorId ReducedShard(const ir::Program& program, const std::vector<bool>& keep, const ir::ParameterSegment& segment) {
  const ShardPlace place = PlaceOfShard(program, segment);
  ir::TensorId newest;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (!keep[i]) continue;
    for (const ir::TensorId result : program.ops[i].results) {
      if (!result.valid() || !place.storage.valid() || program.tensor(result).storage != place.storage) continue;
      const bool first = program.ops[i].kind != ir::OpKind::kView || !newest.valid();
      if (first && ir::ExtentOf(program.tensor(result)) == place.extent) newest = result;
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
  ir::Program marked = program;
  for (const ir::ParameterSegment& segment : program.segments) {
    if (segment.sharded_over.empty() || ir::IsFrozen(segment)) continue;
    const ir::TensorId shard = ReducedShard(program, keep, segment);
    if (!shard.valid()) return InternalError("segment '" + segment.name + "' is sharded, but its gradients are not scattered");
    marked.outputs[ShardOutput(segment)] = shard;
  }
  schedule::DropUnreadViews(marked, keep);
  HELM_ASSIGN_OR_RETURN(ir::Program pass, schedule::KeepOps(marked, keep));
  pass.name += ".gradients";
  if (const Status status = ir::Verify(pass); !status.ok()) return InternalError(status.message());
  return pass;
}

}  // namespace helm::exec
