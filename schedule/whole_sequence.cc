#include "schedule/whole_sequence.h"

#include <algorithm>

#include "ir/target.h"
#include "schedule/tiling_rules.h"

namespace helm::schedule {
namespace {

using ir::OpId;
using ir::StorageId;
using ir::TensorId;

class Finder {
 public:
  explicit Finder(const ir::Program& program) : program_(program), makers_(program.storages.size()), readers_(program.storages.size()) {
    found_.ops.resize(program.ops.size());
    for (size_t i = 0; i < program.ops.size(); ++i) {
      for (const TensorId result : program.ops[i].results) {
        if (result.valid()) makers_[StorageOf(result)].emplace_back(i);
      }
      for (const TensorId argument : ir::TensorArguments(program.ops[i])) readers_[StorageOf(argument)].emplace_back(i);
    }
  }

  WholeSequence Run() {
    std::vector<OpId> attention;
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      if (IsAttention(program_.ops[i].target)) attention.emplace_back(i);
    }
    for (const OpId id : attention) Include(id);
    for (const OpId id : attention) Push(program_.op(id).results, after_, seen_after_);
    while (!after_.empty()) Follow(Take(after_));
    while (!before_.empty()) {
      const StorageId storage = Take(before_);
      for (const OpId maker : makers_[storage.index()]) {
        if (IsBetween(program_.op(maker))) Include(maker);
      }
    }
    FindJoined();
    return std::move(found_);
  }

 private:
  size_t StorageOf(TensorId tensor) const { return program_.tensor(tensor).storage.index(); }

  // Ops that may be done on all positions although those around them are not: all but products, sums over rows, tables and messages.
  static bool IsBetween(const ir::Op& op) {
    if (op.kind == ir::OpKind::kView) return true;
    if (op.kind != ir::OpKind::kCompute || ir::BaseName(op.target) == "embedding") return false;
    const TileRule rule = RuleOf(op.target);
    return rule != TileRule::kUnknown && rule != TileRule::kProduct && rule != TileRule::kReduction && rule != TileRule::kSums;
  }

  static StorageId Take(std::vector<StorageId>& from) {
    const StorageId storage = from.back();
    from.pop_back();
    return storage;
  }

  void Push(const std::vector<TensorId>& tensors, std::vector<StorageId>& onto, std::set<StorageId>& seen) const {
    for (const TensorId tensor : tensors) {
      if (!tensor.valid()) continue;
      const StorageId storage = program_.tensor(tensor).storage;
      if (!program_.storage(storage).persistent && seen.insert(storage).second) onto.push_back(storage);
    }
  }

  void Include(OpId id) {
    found_.ops[id.index()] = true;
    Push(ir::TensorArguments(program_.op(id)), before_, seen_before_);
  }

  // From what attention makes on to the products, with all that is written beside it and read for it.
  void Follow(StorageId storage) {
    const auto include = [&](OpId id) {
      if (!IsBetween(program_.op(id))) return;
      Include(id);
      Push(program_.op(id).results, after_, seen_after_);
    };
    for (const OpId reader : readers_[storage.index()]) include(reader);
    for (const OpId maker : makers_[storage.index()]) include(maker);
  }

  void FindJoined() {
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      if (!found_.ops[i]) continue;
      for (const TensorId argument : ir::TensorArguments(program_.ops[i])) {
        const OpId producer = program_.tensor(argument).producer;
        if (producer.valid() && !found_.ops[producer.index()]) found_.joined.insert(argument);
      }
    }
  }

  const ir::Program& program_;
  std::vector<std::vector<OpId>> makers_, readers_;  // by storage
  std::vector<StorageId> before_, after_;            // to be looked at
  std::set<StorageId> seen_before_, seen_after_;
  WholeSequence found_;
};

}  // namespace

bool IsOneSequence(const ir::Program& program) {
  bool any = false;
  for (const ir::Op& op : program.ops) {
    if (!IsAttention(op.target)) continue;
    any = true;
    if (program.tensor(ir::TensorArguments(op)[0]).shape.front() != 1) return false;
  }
  if (any) return true;
  return std::ranges::any_of(program.inputs, [&](const auto& input) {
    const ir::Tensor& tensor = program.tensor(input.second);
    return program.storage(tensor.storage).role == ir::StorageRole::kInput && tensor.shape.size() == 2 && tensor.shape[0] == 1;
  });
}

WholeSequence WholeSequenceOf(const ir::Program& program) { return Finder(program).Run(); }

}  // namespace helm::schedule
