#include "schedule/forward_only.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "schedule/edit.h"

namespace helm::schedule {
namespace {

using ir::OpId;
using ir::TensorId;

bool IsForwardOfLayer(const ir::Program& program, const ir::Op& op) {
  const bool forward = op.action >= 0 && program.schedule[static_cast<size_t>(op.action)].kind == ir::ActionKind::kForward;
  return forward && op.phase == ir::Phase::kForward && op.layer >= 0;
}

// By action, the last op of its last layer; and what it sends to the next stage.
struct Ends {
  std::map<int32_t, OpId> hidden;
  std::vector<OpId> sends;
};
Ends EndsOf(const ir::Program& program) {
  Ends ends;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    if (op.phase == ir::Phase::kForward && op.target == "c10d.send") ends.sends.emplace_back(i);
    const bool makes = IsForwardOfLayer(program, op) && op.kind != ir::OpKind::kWait && !op.results.empty() && op.results[0].valid();
    if (makes) ends.hidden[op.action] = OpId(i);
  }
  return ends;
}

// Everything that the ends need: producers of what is read, and the waits of what was started.
std::vector<bool> NeededBy(const ir::Program& program, const Ends& ends) {
  std::vector<bool> needed(program.ops.size());
  std::vector<std::vector<OpId>> waits(program.ops.size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (const OpId start = ir::StartOf(program.ops[i]); start.valid()) waits[start.index()].emplace_back(i);
  }
  std::vector<OpId> open = ends.sends;
  for (const auto& [action, op] : ends.hidden) open.push_back(op);
  while (!open.empty()) {
    const OpId id = open.back();
    open.pop_back();
    if (needed[id.index()]) continue;
    needed[id.index()] = true;
    for (const TensorId argument : ir::TensorArguments(program.op(id))) {
      if (const OpId producer = program.tensor(argument).producer; producer.valid()) open.push_back(producer);
    }
    open.insert(open.end(), waits[id.index()].begin(), waits[id.index()].end());
  }
  return needed;
}

// The actions that still have ops, and ops that name them.
void KeepActions(ir::Program& program) {
  std::vector<int32_t> to(program.schedule.size(), -1);
  ir::Schedule kept;
  for (size_t a = 0; a < program.schedule.size(); ++a) {
    const auto has = [&](const ir::Op& op) { return op.action == static_cast<int32_t>(a); };
    if (std::ranges::none_of(program.ops, has)) continue;
    to[a] = static_cast<int32_t>(kept.size());
    kept.push_back(program.schedule[a]);
  }
  program.schedule = std::move(kept);
  for (ir::Op& op : program.ops) {
    if (op.action >= 0) op.action = to[static_cast<size_t>(op.action)];
  }
}

// Tensors that no op touches, and storages on which none lies, go.
void KeepTouched(ir::Program& program) {
  std::vector<bool> touched(program.tensors.size());
  for (const ir::Op& op : program.ops) {
    for (const TensorId argument : ir::TensorArguments(op)) touched[argument.index()] = true;
    for (const TensorId result : op.results) {
      if (result.valid()) touched[result.index()] = true;
    }
  }
  std::erase_if(program.inputs, [&](const auto& input) { return !touched[input.second.index()]; });
  std::vector<TensorId> tensor_to(touched.size());
  std::vector<ir::Tensor> tensors;
  for (size_t t = 0; t < touched.size(); ++t) {
    if (!touched[t]) continue;
    tensor_to[t] = TensorId(tensors.size());
    tensors.push_back(program.tensors[t]);
  }
  const auto renumber = [&](TensorId& id) {
    if (id.valid()) id = tensor_to[id.index()];
  };
  for (ir::Op& op : program.ops) {
    std::ranges::for_each(op.results, renumber);
    for (ir::Argument& argument : op.arguments) {
      if (auto* one = std::get_if<TensorId>(&argument)) renumber(*one);
      if (auto* list = std::get_if<std::vector<TensorId>>(&argument)) std::ranges::for_each(*list, renumber);
    }
  }
  for (auto& [name, tensor] : program.inputs) renumber(tensor);
  for (auto& [name, tensor] : program.outputs) renumber(tensor);
  program.tensors = std::move(tensors);
  DropEmptyStorages(program);
}

}  // namespace

Result<ir::Program> ForwardOnly(const ir::Program& program) {
  Ends ends = EndsOf(program);
  if (ends.hidden.empty()) {
    return InvalidError(fmt::format("error: forward_only: program '{}' has no forward action of a layer", program.name));
  }
  ir::Program marked = program;
  marked.outputs.clear();
  marked.segments.clear();
  for (const auto& [action, op] : ends.hidden) {
    marked.outputs[fmt::format("hidden.{}", program.op(op).micro_batch)] = program.op(op).results[0];
  }
  HELM_ASSIGN_OR_RETURN(ir::Program kept, KeepOps(marked, NeededBy(program, ends)));
  KeepActions(kept);
  KeepTouched(kept);
  return kept;
}

}  // namespace helm::schedule
