#include "ir/lifetime.h"

#include <algorithm>

namespace helm::ir {
namespace {

// For each collective start: the first wait that ends it. The index of the last op where no wait does (Verify rejects that).
std::vector<size_t> EndOfStarts(const Program& program) {
  const std::vector<std::vector<OpId>> ended = EndedBy(program);
  std::vector<size_t> end(program.ops.size(), program.ops.empty() ? 0 : program.ops.size() - 1);
  for (size_t wait = 0; wait < ended.size(); ++wait) {
    for (const OpId start : ended[wait]) end[start.index()] = wait;
  }
  return end;
}

// The op after which each tensor's handle is not needed any more; -1 for a tensor that no op names.
std::vector<int64_t> LastUses(const Program& program) {
  const std::vector<size_t> end = EndOfStarts(program);
  std::vector<int64_t> last(program.tensors.size(), -1);
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    const int64_t until = static_cast<int64_t>(op.kind == OpKind::kCollectiveStart ? end[i] : i);
    const auto use = [&](TensorId tensor) {
      if (tensor.valid()) last[tensor.index()] = std::max(last[tensor.index()], until);
    };
    std::ranges::for_each(TensorArguments(op), use);
    std::ranges::for_each(op.results, use);
  }
  return last;
}

void PlanStorages(const Program& program, const std::vector<int64_t>& last_uses, const std::vector<bool>& is_output, Lifetimes& lifetimes) {
  std::vector<bool> allocated(program.storages.size(), false);
  for (size_t i = 0; i < program.ops.size(); ++i) {
    for (const TensorId result : program.ops[i].results) {
      if (!result.valid()) continue;
      const StorageId storage = program.tensor(result).storage;
      if (program.storage(storage).persistent || allocated[storage.index()]) continue;
      allocated[storage.index()] = true;
      lifetimes.allocated_by[i].push_back(storage);
    }
  }
  std::vector<int64_t> last_of_storage(program.storages.size(), -1);
  std::vector<bool> kept(program.storages.size(), false);
  for (size_t t = 0; t < program.tensors.size(); ++t) {
    const size_t storage = program.tensors[t].storage.index();
    last_of_storage[storage] = std::max(last_of_storage[storage], last_uses[t]);
    if (is_output[t]) kept[storage] = true;
  }
  for (size_t s = 0; s < program.storages.size(); ++s) {
    if (!allocated[s] || kept[s]) continue;
    lifetimes.freed_after[static_cast<size_t>(last_of_storage[s])].push_back(StorageId(s));
  }
}

}  // namespace

std::vector<std::vector<OpId>> EndedBy(const Program& program) {
  std::vector<std::vector<OpId>> ended(program.ops.size());
  std::vector<std::vector<OpId>> pending(program.groups.size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    if (!op.group.valid()) continue;
    std::vector<OpId>& open = pending[op.group.index()];
    if (op.kind == OpKind::kCollectiveStart) open.push_back(OpId(i));
    if (op.kind != OpKind::kWait) continue;
    const OpId start = StartOf(op);
    const auto first_kept = std::ranges::find_if(open, [&](OpId pending_start) { return pending_start > start; });
    ended[i].assign(open.begin(), first_kept);
    open.erase(open.begin(), first_kept);
  }
  return ended;
}

Lifetimes ComputeLifetimes(const Program& program) {
  const size_t count = program.ops.size();
  Lifetimes lifetimes{std::vector<std::vector<StorageId>>(count), std::vector<std::vector<StorageId>>(count),
                      std::vector<std::vector<TensorId>>(count)};
  std::vector<bool> is_output(program.tensors.size(), false);
  for (const auto& [name, tensor] : program.outputs) is_output[tensor.index()] = true;
  const std::vector<int64_t> last_uses = LastUses(program);
  PlanStorages(program, last_uses, is_output, lifetimes);
  for (size_t t = 0; t < program.tensors.size(); ++t) {
    // A tensor bound before the step is the outside's to hold; one that no op names has no handle.
    if (!program.tensors[t].producer.valid() || is_output[t] || last_uses[t] < 0) continue;
    lifetimes.released_after[static_cast<size_t>(last_uses[t])].push_back(TensorId(t));
  }
  return lifetimes;
}

}  // namespace helm::ir
