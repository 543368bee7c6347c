#include "ir/lifetime.h"

#include <algorithm>

#include "ir/region.h"

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
  const std::vector<bool> inside = StoragesInsideRegions(program);
  for (size_t i = 0; i < program.ops.size(); ++i) {
    for (const TensorId result : program.ops[i].results) {
      if (!result.valid()) continue;
      const StorageId storage = program.tensor(result).storage;
      if (program.storage(storage).persistent || allocated[storage.index()] || inside[storage.index()]) continue;
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

// What an op is in order with: the group's collectives (0), or messages to (> 0) or from (< 0) the peer at this offset.
int64_t ChannelOf(const Program& program, const Op& op) {
  if (!IsPointToPoint(op)) return 0;
  return op.target == "c10d.send" ? PeerOffset(program, op) : -PeerOffset(program, op);
}

// Takes from `open` what a wait for `named` ends.
std::vector<OpId> End(const Program& program, OpId named, std::vector<OpId>& open) {
  const int64_t channel = ChannelOf(program, program.op(named));
  std::vector<OpId> ended;
  std::vector<int32_t> batches;
  for (const OpId start : open) {
    if (start > named || ChannelOf(program, program.op(start)) != channel) continue;
    ended.push_back(start);
    if (program.op(start).batch >= 0) batches.push_back(program.op(start).batch);
  }
  const auto in_ended_batch = [&](OpId start) { return std::ranges::find(batches, program.op(start).batch) != batches.end(); };
  for (const OpId start : open) {
    if (in_ended_batch(start) && std::ranges::find(ended, start) == ended.end()) ended.push_back(start);
  }
  std::ranges::sort(ended);
  std::erase_if(open, [&](OpId start) { return std::ranges::binary_search(ended, start); });
  return ended;
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
    if (op.kind == OpKind::kWait && StartOf(op).valid()) ended[i] = End(program, StartOf(op), open);
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
