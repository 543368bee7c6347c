// Verify, the parts about one op at a time: its kind, target, group and results; who produces what; waits; isolated ops.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "ir/lifetime.h"
#include "ir/target.h"
#include "ir/verify_checks.h"

namespace helm::ir {
namespace {

constexpr std::array<std::string_view, 7> kCollectives = {
    "c10d.all_reduce", "c10d.all_gather", "c10d.reduce_scatter", "c10d.all_to_all", "c10d.broadcast", "c10d.send", "c10d.recv"};

bool SharesStorage(const Program& program, const Op& op, TensorId result) {
  return std::ranges::any_of(TensorArguments(op),
                             [&](TensorId argument) { return program.tensor(argument).storage == program.tensor(result).storage; });
}

void CheckView(const Program& program, OpId id, Problems& problems) {
  const Op& op = program.op(id);
  for (const TensorId result : op.results) {
    if (!result.valid() || SharesStorage(program, op, result)) continue;
    problems.Add(id, fmt::format("is a view, but its result {} lies on {}, on which no argument lies", TensorText(program, result),
                                 StorageText(program, program.tensor(result).storage)));
  }
}

void CheckCompute(const Program& program, OpId id, Problems& problems) {
  const Op& op = program.op(id);
  if (op.target.starts_with("c10d.")) problems.Add(id, "is a c10d op of kind compute");
  const std::vector<TensorId> written = WrittenTensors(program, op);
  if (!op.target.starts_with("aten.")) return;  // what a region writes, its body says
  if (WritesArgument(op.target) && written.empty()) {
    problems.Add(id, "writes an argument in place, but no result is a new version on an argument's storage");
  }
  if (WritesArgument(op.target)) return;
  for (const TensorId result : written) {
    problems.Add(id, fmt::format("is neither an in-place nor an out= op, but its result {} lies on the storage of an argument",
                                 TensorText(program, result)));
  }
}

// Dimension 0 of the result is that of the argument times `numerator` by `denominator`.
void CheckGathered(const Program& program, OpId id, int64_t numerator, int64_t denominator, Problems& problems) {
  const Op& op = program.op(id);
  const Tensor& from = program.tensor(TensorArguments(op).front());
  const Tensor& to = program.tensor(op.results.front());
  Shape expected = from.shape;
  if (!expected.empty() && expected[0] * numerator % denominator == 0) expected[0] = expected[0] * numerator / denominator;
  if (expected.empty() || from.shape[0] * numerator % denominator != 0 || to.shape != expected || to.dtype != from.dtype) {
    problems.Add(id, fmt::format("in a group of {}, takes {}[{}] to {}[{}]", numerator * denominator, Name(from.dtype),
                                 fmt::join(from.shape, ","), Name(to.dtype), fmt::join(to.shape, ",")));
  }
}

// c10d.all_gather(tensor, into): the result is the new version of `into`.
void CheckGatherInto(const Program& program, OpId id, Problems& problems) {
  const Op& op = program.op(id);
  const Tensor& into = program.tensor(TensorArguments(op)[1]);
  const bool fits = op.results.size() == 1 && op.results[0].valid() && program.tensor(op.results[0]).storage == into.storage &&
                    ExtentOf(program.tensor(op.results[0])) == ExtentOf(into);
  if (!fits) return problems.Add(id, "needs as result the new version of the tensor that it gathers into");
  CheckGathered(program, id, GroupSize(program, op.group), 1, problems);
}

void CheckReduction(const Op& op, OpId id, Problems& problems) {
  const auto* reduction = op.arguments.size() < 2 ? nullptr : std::get_if<std::string>(&op.arguments[1]);
  if (reduction == nullptr || (*reduction != "sum" && *reduction != "max"))
    problems.Add(id, "needs a reduction as second argument: \"sum\" or \"max\"");
}

void CheckCollectiveShapes(const Program& program, OpId id, Problems& problems) {
  const Op& op = program.op(id);
  const int64_t size = GroupSize(program, op.group);
  if (op.target == "c10d.all_gather" && TensorArguments(op).size() == 2) return CheckGatherInto(program, id, problems);
  const bool moves_one = TensorArguments(op).size() == 1 && op.results.size() == 1 && op.results[0].valid();
  const bool in_place = moves_one && SharesStorage(program, op, op.results[0]);
  if (op.target == "c10d.all_reduce") {
    CheckReduction(op, id, problems);
    const bool same = moves_one && in_place && ExtentOf(program.tensor(op.results[0])) == ExtentOf(program.tensor(TensorArguments(op)[0]));
    if (!same) problems.Add(id, "needs one tensor and, as result, the new version of the same bytes");
    return;
  }
  if (op.target != "c10d.all_gather" && op.target != "c10d.reduce_scatter") return;
  if (op.target == "c10d.reduce_scatter") CheckReduction(op, id, problems);
  if (!moves_one || in_place) {
    problems.Add(id, "needs one tensor and one result on a storage of its own");
  } else if (op.target == "c10d.all_gather") {
    CheckGathered(program, id, size, 1, problems);
  } else {
    CheckGathered(program, id, 1, size, problems);
  }
}

// c10d.send(tensor, offset, tag) and result = c10d.recv(offset, tag).
void CheckPointToPoint(const Program& program, OpId id, Problems& problems) {
  const Op& op = program.op(id);
  const bool sends = op.target == "c10d.send";
  const size_t place = sends ? 1 : 0;
  const bool complete = op.arguments.size() == place + 2 && std::holds_alternative<int64_t>(op.arguments[place]) &&
                        std::holds_alternative<int64_t>(op.arguments[place + 1]) &&
                        (!sends || std::holds_alternative<TensorId>(op.arguments[0]));
  if (!complete)
    return problems.Add(id, sends ? "needs a tensor, the offset of the peer and a tag" : "needs the offset of the peer and a tag");
  if (op.results.size() != (sends ? 0U : 1U) || (!sends && !op.results[0].valid())) {
    return problems.Add(id, sends ? "sends, so it has no result" : "needs one result, the tensor that it receives");
  }
  if (PeerOffset(program, op) == 0) problems.Add(id, "has itself as its peer");
}

void CheckCollective(const Program& program, OpId id, Problems& problems) {
  const Op& op = program.op(id);
  if (std::ranges::find(kCollectives, op.target) == kCollectives.end()) {
    problems.Add(id, fmt::format("is no collective; known are {}", fmt::join(kCollectives, ", ")));
  }
  if (!op.group.valid()) return problems.Add(id, "is a collective without a group");
  if (op.batch >= 0 && !IsPointToPoint(op)) problems.Add(id, "is in a batch, but only point-to-point ops are");
  if (IsPointToPoint(op)) return CheckPointToPoint(program, id, problems);
  CheckCollectiveShapes(program, id, problems);
}

void CheckWait(const Program& program, OpId id, Problems& problems) {
  const Op& op = program.op(id);
  if (op.target != "c10d.wait") problems.Add(id, "is of kind wait, but not c10d.wait");
  if (!op.results.empty()) problems.Add(id, "is a wait with results");
  const OpId start = StartOf(op);
  if (op.arguments.size() != 1 || !start.valid()) return problems.Add(id, "a wait needs one argument, the start that it ends");
  if (!(start < id) || program.op(start).kind != OpKind::kCollectiveStart) {
    return problems.Add(id, fmt::format("waits for {}, which is not a collective started before it", Describe(program, start)));
  }
  if (!op.group.valid() || op.group != program.op(start).group) {
    problems.Add(id, fmt::format("waits on another group than {} was started on", Describe(program, start)));
  }
}

bool NamesOp(const Op& op) {
  return std::ranges::any_of(op.arguments, [](const Argument& argument) { return std::holds_alternative<OpId>(argument); });
}

}  // namespace

void CheckOps(const Program& program, Problems& problems) {
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const OpId id(i);
    if (program.ops[i].kind != OpKind::kWait && NamesOp(program.ops[i])) problems.Add(id, "names an op; only a wait does");
    switch (program.ops[i].kind) {
      case OpKind::kCompute:
        CheckCompute(program, id, problems);
        break;
      case OpKind::kView:
        CheckView(program, id, problems);
        break;
      case OpKind::kCollectiveStart:
        CheckCollective(program, id, problems);
        break;
      case OpKind::kWait:
        CheckWait(program, id, problems);
        break;
    }
  }
}

void CheckProducers(const Program& program, Problems& problems) {
  std::vector<OpId> producer(program.tensors.size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    for (const TensorId result : program.ops[i].results) {
      if (!result.valid()) continue;
      OpId& first = producer[result.index()];
      if (first.valid())
        problems.Add(OpId(i), fmt::format("produces {}, which {} produces", TensorText(program, result), Describe(program, first)));
      else
        first = OpId(i);
    }
  }
  for (size_t t = 0; t < program.tensors.size(); ++t) {
    const Tensor& tensor = program.tensors[t];
    if (tensor.producer != producer[t] && !(tensor.producer.valid() && producer[t].valid())) {
      problems.Add(fmt::format("%{} is marked as produced by {}, but {}", tensor.name,
                               tensor.producer.valid() ? Describe(program, tensor.producer) : "none",
                               producer[t].valid() ? Describe(program, producer[t]) + " produces it" : "no op lists it as a result"));
    }
    if (!tensor.producer.valid() && !producer[t].valid() && !program.storage(tensor.storage).persistent) {
      problems.Add(fmt::format("%{} is produced by no op and {} is not persistent", tensor.name, StorageText(program, tensor.storage)));
    }
  }
}

void CheckActions(const Program& program, Problems& problems) {
  const auto count = static_cast<int32_t>(program.schedule.size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const int32_t action = program.ops[i].action;
    if (action < -1 || action >= count) problems.Add(OpId(i), fmt::format("names action {}, of {}", action, count));
  }
}

void CheckRegions(const Program& program, Problems& problems) {
  std::set<int32_t> closed;
  int32_t open = -1;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const int32_t region = program.ops[i].region;
    if (region != open && open >= 0) closed.insert(open);
    if (region != open && closed.contains(region)) problems.Add(OpId(i), fmt::format("is apart from the other ops of region {}", region));
    const OpKind kind = program.ops[i].kind;
    if (region >= 0 && kind != OpKind::kCompute && kind != OpKind::kView)
      problems.Add(OpId(i), "is in a region; only compute and view ops are");
    open = region;
  }
}

void CheckWaits(const Program& program, Problems& problems) {
  std::vector<bool> ended(program.ops.size(), false);
  for (const std::vector<OpId>& starts : EndedBy(program)) {
    for (const OpId start : starts) ended[start.index()] = true;
  }
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (program.ops[i].kind == OpKind::kCollectiveStart && !ended[i]) problems.Add(OpId(i), "is never waited for");
  }
}

void CheckIsolated(const Program& program, Problems& problems) {
  std::vector<bool> used(program.tensors.size(), false);
  std::vector<int64_t> last_read(program.storages.size(), -1);  // an overwritten part may be read through a larger tensor
  for (size_t i = 0; i < program.ops.size(); ++i) {
    for (const TensorId tensor : TensorArguments(program.ops[i])) {
      used[tensor.index()] = true;
      last_read[program.tensor(tensor).storage.index()] = static_cast<int64_t>(i);
    }
  }
  for (const auto& [name, tensor] : program.outputs) used[tensor.index()] = true;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    // Recomputation may repeat more than backward needs (reentrant checkpointing runs a whole layer again).
    if (op.kind == OpKind::kCollectiveStart || op.kind == OpKind::kWait || op.phase == Phase::kRecompute) continue;
    const auto matters = [&](TensorId result) {
      if (!result.valid()) return false;
      const StorageId storage = program.tensor(result).storage;
      const bool written =
          op.kind == OpKind::kCompute && (program.storage(storage).persistent || last_read[storage.index()] > static_cast<int64_t>(i));
      return used[result.index()] || written;
    };
    if (std::ranges::none_of(op.results, matters))
      problems.Add(OpId(i), "is isolated: nothing reads its results and it writes nothing persistent");
  }
}

}  // namespace helm::ir
