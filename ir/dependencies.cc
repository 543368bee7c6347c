// Building the dependency graph of a program from what its ops read and write.
#include <algorithm>
#include <map>

#include "ir/extents.h"
#include "ir/graph.h"
#include "ir/lifetime.h"

namespace helm::ir {
namespace {

struct Access {
  OpId op;  // who read or wrote; once a wait has ended a collective, the wait
  Extent extent;
  bool waited = false;
};

struct StorageState {
  std::vector<Access> writes;  // not yet overwritten as a whole
  std::vector<Access> reads;   // since those writes
};

class DependencyBuilder {
 public:
  explicit DependencyBuilder(const Program& program)
      : program_(program), storages_(program.storages.size()), last_of_group_(program.groups.size()) {}

  DependencyGraph Build(const DependencyOptions& options) {
    const std::vector<std::vector<OpId>> ended_by = EndedBy(program_);
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      const OpId id(i);
      const Op& op = program_.ops[i];
      if (options.host_order && i > 0) Add(OpId(i - 1), id, DependencyKind::kHost);
      if (op.kind == OpKind::kWait) End(id, ended_by[i]);
      for (const TensorId argument : TensorArguments(op)) Read(id, argument);
      if (op.kind != OpKind::kView) {
        for (const TensorId result : op.results) Write(id, result);
      }
      if (op.kind == OpKind::kCollectiveStart) Start(id, op.group);
    }
    return Finish();
  }

 private:
  StorageState& StateOf(TensorId tensor) { return storages_[program_.tensor(tensor).storage.index()]; }

  void Add(OpId from, OpId to, DependencyKind kind) {
    if (!from.valid() || from == to) return;
    const auto [edge, added] = edges_.try_emplace({to, from}, kind);
    if (!added) edge->second = std::min(edge->second, kind);
  }

  void Read(OpId id, TensorId argument) {
    const Tensor& tensor = program_.tensor(argument);
    const Extent extent = ExtentOf(tensor);
    // A view is made by its view op, though that writes nothing.
    const OpId producer = tensor.producer;
    if (producer.valid() && program_.op(producer).kind == OpKind::kView) Add(producer, id, DependencyKind::kData);
    for (const Access& write : StateOf(argument).writes) {
      if (Overlap(write.extent, extent)) Add(write.op, id, write.waited ? DependencyKind::kWait : DependencyKind::kData);
    }
    if (program_.op(id).kind != OpKind::kView) StateOf(argument).reads.push_back({id, extent});
  }

  void Write(OpId id, TensorId result) {
    if (!result.valid()) return;
    const Tensor& tensor = program_.tensor(result);
    const Extent extent = ExtentOf(tensor);
    const bool dense = extent.end - extent.begin == TensorBytes(tensor).count();
    const auto covered = [&](const Access& access) {
      return access.op != id && dense && extent.begin <= access.extent.begin && access.extent.end <= extent.end;
    };
    StorageState& state = StateOf(result);
    for (const std::vector<Access>* accesses : {&state.reads, &state.writes}) {
      for (const Access& access : *accesses) {
        if (Overlap(access.extent, extent)) Add(access.op, id, access.waited ? DependencyKind::kWait : DependencyKind::kVersion);
      }
    }
    std::erase_if(state.reads, covered);
    std::erase_if(state.writes, covered);
    state.writes.push_back({id, extent});
  }

  void Start(OpId id, GroupId group) {
    if (!group.valid()) return;
    Add(last_of_group_[group.index()], id, DependencyKind::kGroup);
    last_of_group_[group.index()] = id;
  }

  // From now on, who touches what the ended collectives read or wrote depends on the wait.
  void End(OpId wait, const std::vector<OpId>& starts) {
    for (const OpId start : starts) {
      Add(start, wait, DependencyKind::kWait);
      for (const TensorId tensor : TensorArguments(program_.op(start))) Release(StateOf(tensor), start, wait);
      for (const TensorId tensor : program_.op(start).results) {
        if (tensor.valid()) Release(StateOf(tensor), start, wait);
      }
    }
  }

  static void Release(StorageState& state, OpId start, OpId wait) {
    for (std::vector<Access>* accesses : {&state.reads, &state.writes}) {
      for (Access& access : *accesses) {
        if (access.op == start) access = {wait, access.extent, true};
      }
    }
  }

  DependencyGraph Finish() const {
    DependencyGraph graph{program_.ops.size(), {}};
    for (const auto& [ends, kind] : edges_) graph.edges.push_back({ends.second, ends.first, kind});
    return graph;
  }

  const Program& program_;
  std::vector<StorageState> storages_;
  std::vector<OpId> last_of_group_;
  std::map<std::pair<OpId, OpId>, DependencyKind> edges_;  // (to, from)
};

}  // namespace

std::string_view Name(DependencyKind kind) {
  switch (kind) {
    case DependencyKind::kData:
      return "data";
    case DependencyKind::kWait:
      return "wait";
    case DependencyKind::kVersion:
      return "version";
    case DependencyKind::kGroup:
      return "group";
    case DependencyKind::kHost:
      return "host";
  }
  return "unknown";
}

DependencyGraph BuildDependencies(const Program& program, const DependencyOptions& options) {
  return DependencyBuilder(program).Build(options);
}

}  // namespace helm::ir
