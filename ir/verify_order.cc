// Verify, the part that walks the ops in launch order: what exists, what is stale, what a collective in flight holds.
#include <fmt/format.h>

#include <algorithm>

#include "ir/extents.h"
#include "ir/lifetime.h"
#include "ir/verify_checks.h"

namespace helm::ir {
namespace {

class OrderCheck {
 public:
  OrderCheck(const Program& program, Problems& problems)
      : program_(program),
        problems_(problems),
        exists_(program.tensors.size()),
        used_(program.storages.size()),
        writes_(program.storages.size()),
        ended_by_(EndedBy(program)) {
    for (size_t t = 0; t < program.tensors.size(); ++t) exists_[t] = !program.tensors[t].producer.valid();
  }

  void Run() {
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      const OpId id(i);
      const Op& op = program_.ops[i];
      if (op.kind == OpKind::kWait) End(id);
      for (const TensorId argument : TensorArguments(op)) Read(id, argument);
      const std::vector<TensorId> written = WrittenTensors(program_, op);
      for (const TensorId result : written) Write(id, result);
      for (const TensorId result : op.results) Produce(id, result, written);
      if (op.kind == OpKind::kCollectiveStart) Start(id, written);
    }
    for (const auto& [name, tensor] : program_.outputs) CheckOutput(name, tensor);
  }

 private:
  struct WriteRecord {
    OpId op;
    TensorId version;
  };
  struct Held {  // bytes that a collective in flight reads or writes
    OpId start;
    StorageId storage;
    Extent extent;
    bool written;
  };

  // A tensor is stale when a later op overwrote all of it. One that is bound before the step is a window on its storage, for good: it is
  // stale only when a newer version of exactly this window exists.
  OpId StaleSince(TensorId id) const {
    const Tensor& tensor = program_.tensor(id);
    const Extent extent = ExtentOf(tensor);
    const std::vector<WriteRecord>& writes = writes_[tensor.storage.index()];
    for (auto write = writes.rbegin(); write != writes.rend() && (!tensor.producer.valid() || write->op > tensor.producer); ++write) {
      const Tensor& version = program_.tensor(write->version);
      const Extent overwritten = ExtentOf(version);
      const bool dense = overwritten.end - overwritten.begin == TensorBytes(version).count();
      const bool same_layout = version.shape == tensor.shape && version.strides == tensor.strides;
      const bool same = overwritten == extent && (dense || same_layout);
      const bool covers = same || (tensor.producer.valid() && dense && Contains(overwritten, extent));
      if (covers) return write->op;
    }
    return OpId();
  }

  void Read(OpId id, TensorId tensor) {
    if (!exists_[tensor.index()])
      return problems_.Add(id, fmt::format("reads {}, which no earlier op produces", TensorText(program_, tensor)));
    if (const OpId held = HeldBy(tensor, /*writing=*/false); held.valid()) {
      return problems_.Add(id, fmt::format("uses {} before a wait ends {}", TensorText(program_, tensor), Describe(program_, held)));
    }
    if (const OpId write = StaleSince(tensor); write.valid()) {
      problems_.Add(id,
                    fmt::format("reads the old version {}, which {} overwrote", TensorText(program_, tensor), Describe(program_, write)));
    }
  }

  void Write(OpId id, TensorId version) {
    if (const OpId held = HeldBy(version, /*writing=*/true); held.valid()) {
      const bool also_read =
          std::ranges::any_of(TensorArguments(program_.op(id)), [&](TensorId argument) { return HeldBy(argument, false) == held; });
      if (!also_read)
        problems_.Add(id, fmt::format("overwrites {} before a wait ends {}", TensorText(program_, version), Describe(program_, held)));
    }
    writes_[program_.tensor(version).storage.index()].push_back({id, version});
  }

  void Produce(OpId id, TensorId result, const std::vector<TensorId>& written) {
    if (!result.valid()) return;
    exists_[result.index()] = true;
    const StorageId storage = program_.tensor(result).storage;
    const bool fresh = program_.op(id).kind != OpKind::kView && std::ranges::find(written, result) == written.end();
    OpId& first = used_[storage.index()];
    if (fresh && (program_.storage(storage).persistent || (first.valid() && first != id))) {
      problems_.Add(id, fmt::format("its result {} lies on {}, which exists already, but no argument lies there",
                                    TensorText(program_, result), StorageText(program_, storage)));
    }
    if (!first.valid()) first = id;
  }

  void Start(OpId id, const std::vector<TensorId>& written) {
    const Op& op = program_.op(id);
    const auto hold = [&](TensorId tensor, bool is_written) {
      if (tensor.valid()) in_flight_.push_back({id, program_.tensor(tensor).storage, ExtentOf(program_.tensor(tensor)), is_written});
    };
    for (const TensorId result : op.results) hold(result, true);
    if (!written.empty()) return;
    for (const TensorId argument : TensorArguments(op)) hold(argument, false);
  }

  void End(OpId wait) {
    const std::vector<OpId>& ended = ended_by_[wait.index()];
    std::erase_if(in_flight_, [&](const Held& held) { return std::ranges::binary_search(ended, held.start); });
  }

  OpId HeldBy(TensorId id, bool writing) const {
    const Tensor& tensor = program_.tensor(id);
    for (const Held& held : in_flight_) {
      if ((held.written || writing) && held.storage == tensor.storage && Overlap(held.extent, ExtentOf(tensor))) return held.start;
    }
    return OpId();
  }

  void CheckOutput(const std::string& name, TensorId tensor) {
    if (!exists_[tensor.index()]) return;  // reported as a tensor that no op produces
    if (const OpId write = StaleSince(tensor); write.valid()) {
      problems_.Add(fmt::format("output '{}' is the old version {}, which {} overwrote", name, TensorText(program_, tensor),
                                Describe(program_, write)));
    }
  }

  const Program& program_;
  Problems& problems_;
  std::vector<bool> exists_;                      // by tensor
  std::vector<OpId> used_;                        // by storage: the first op with a result on it
  std::vector<std::vector<WriteRecord>> writes_;  // by storage, in launch order
  std::vector<std::vector<OpId>> ended_by_;       // by wait
  std::vector<Held> in_flight_;
};

}  // namespace

void CheckOrder(const Program& program, Problems& problems) { OrderCheck(program, problems).Run(); }

}  // namespace helm::ir
