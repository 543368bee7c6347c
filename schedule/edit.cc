#include "schedule/edit.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "core/check.h"

namespace helm::schedule {
namespace {

// New ids by old index; none: gone.
struct Renumbering {
  std::vector<ir::OpId> ops;
  std::vector<ir::TensorId> tensors;

  ir::OpId Of(ir::OpId id) const { return id.valid() ? ops[id.index()] : id; }
  ir::TensorId Of(ir::TensorId id) const { return id.valid() ? tensors[id.index()] : id; }
};

void Renumber(const Renumbering& to, ir::Argument* argument) {
  if (auto* tensor = std::get_if<ir::TensorId>(argument)) *tensor = to.Of(*tensor);
  if (auto* op = std::get_if<ir::OpId>(argument)) *op = to.Of(*op);
  if (auto* list = std::get_if<std::vector<ir::TensorId>>(argument)) {
    for (ir::TensorId& tensor : *list) tensor = to.Of(tensor);
  }
}

// The op under the new ids.
ir::Op Renumbered(const Renumbering& to, ir::Op op) {
  for (ir::Argument& argument : op.arguments) Renumber(to, &argument);
  for (ir::TensorId& result : op.results) result = to.Of(result);
  return op;
}

// A start that stays needs its wait, a wait its start, and every tensor that is read a producer or a persistent storage.
Status CheckClosed(const ir::Program& program, const std::vector<bool>& keep, const Renumbering& to) {
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (!keep[i]) continue;
    for (const ir::TensorId tensor : ir::TensorArguments(program.ops[i])) {
      if (to.Of(tensor).valid()) continue;
      return InternalError(
          fmt::format("op {} ({}) stays, but reads '{}', whose producer goes", i, program.ops[i].target, program.tensor(tensor).name));
    }
    for (const ir::Argument& argument : program.ops[i].arguments) {
      const auto* start = std::get_if<ir::OpId>(&argument);
      if (start != nullptr && !to.Of(*start).valid()) return InternalError(fmt::format("op {} waits for one that goes", i));
    }
  }
  return OkStatus();
}

std::vector<ir::TensorId> KeptTensors(const ir::Program& program, const std::vector<bool>& keep) {
  std::vector<ir::TensorId> tensors(program.tensors.size());
  size_t next = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const ir::OpId producer = program.tensors[i].producer;
    if (!producer.valid() || keep[producer.index()]) tensors[i] = ir::TensorId(next++);
  }
  return tensors;
}

}  // namespace

ir::Program Reorder(const ir::Program& program, const std::vector<ir::OpId>& order) {
  HELM_CHECK(order.size() == program.ops.size(), "an order names every op once");
  Renumbering to{.ops = std::vector<ir::OpId>(program.ops.size()), .tensors = {}};
  for (size_t i = 0; i < order.size(); ++i) to.ops[order[i].index()] = ir::OpId(i);
  for (size_t i = 0; i < program.tensors.size(); ++i) to.tensors.push_back(ir::TensorId(i));

  ir::Program result = program;
  for (size_t i = 0; i < order.size(); ++i) result.ops[i] = Renumbered(to, program.op(order[i]));
  for (ir::Tensor& tensor : result.tensors) tensor.producer = to.Of(tensor.producer);
  return result;
}

Result<ir::Program> KeepOps(const ir::Program& program, const std::vector<bool>& keep) {
  HELM_CHECK(keep.size() == program.ops.size(), "one flag per op");
  Renumbering to{.ops = std::vector<ir::OpId>(program.ops.size()), .tensors = KeptTensors(program, keep)};
  size_t next = 0;
  for (size_t i = 0; i < keep.size(); ++i) {
    if (keep[i]) to.ops[i] = ir::OpId(next++);
  }
  HELM_RETURN_IF_ERROR(CheckClosed(program, keep, to));

  ir::Program result = program;
  result.ops.clear();
  result.tensors.clear();
  result.outputs.clear();
  for (size_t i = 0; i < keep.size(); ++i) {
    if (keep[i]) result.ops.push_back(Renumbered(to, program.ops[i]));
  }
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    if (!to.tensors[i].valid()) continue;
    result.tensors.push_back(program.tensors[i]);
    result.tensors.back().producer = to.Of(program.tensors[i].producer);
  }
  for (auto& [name, tensor] : result.inputs) tensor = to.Of(tensor);
  for (const auto& [name, tensor] : program.outputs) {
    if (to.Of(tensor).valid()) result.outputs[name] = to.Of(tensor);
  }
  return result;
}

void DropUnreadViews(const ir::Program& program, std::vector<bool>& keep) {
  std::vector<bool> read(program.tensors.size());
  for (const auto& [name, tensor] : program.outputs) read[tensor.index()] = true;
  for (size_t i = program.ops.size(); i-- > 0;) {
    const ir::Op& op = program.ops[i];
    const auto is_read = [&](ir::TensorId result) { return result.valid() && read[result.index()]; };
    if (op.kind == ir::OpKind::kView && std::ranges::none_of(op.results, is_read)) keep[i] = false;
    if (!keep[i]) continue;
    for (const ir::TensorId tensor : ir::TensorArguments(op)) read[tensor.index()] = true;
  }
}

void DropEmptyStorages(ir::Program& program) {
  std::vector<bool> lies(program.storages.size());
  for (const ir::Tensor& tensor : program.tensors) lies[tensor.storage.index()] = true;
  std::vector<ir::StorageId> to(lies.size());
  std::vector<ir::Storage> storages;
  for (size_t s = 0; s < lies.size(); ++s) {
    if (!lies[s]) continue;
    to[s] = ir::StorageId(storages.size());
    storages.push_back(std::move(program.storages[s]));
  }
  program.storages = std::move(storages);
  for (ir::Tensor& tensor : program.tensors) tensor.storage = to[tensor.storage.index()];
  for (ir::ParameterSegment& segment : program.segments) {
    for (ir::StorageId* storage : {&segment.parameter, &segment.gradient, &segment.master, &segment.moment_first, &segment.moment_second}) {
      if (storage->valid()) *storage = to[storage->index()];
    }
  }
}

}  // namespace helm::schedule
