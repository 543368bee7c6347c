#include "sim/program_graph.h"

#include <algorithm>
#include <limits>
#include <span>
#include <string>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/lifetime.h"

namespace helm::sim {
namespace {

constexpr uint32_t kNoTask = std::numeric_limits<uint32_t>::max();
constexpr size_t kHost = 0;

// Who used a storage last, for the dependencies between streams. Order on one stream is a stream's own.
struct StorageUse {
  uint32_t writer = kNoTask;
  std::vector<uint32_t> readers;  // since the last write, at most one (the last) for each stream
};

class GraphBuilder {
 public:
  GraphBuilder(const ir::Program& program, const TaskCosts& costs, bool shares_cores)
      : program_(program),
        costs_(costs),
        shares_cores_(shares_cores),
        one_thread_(program.device == ir::DeviceKind::kCpu),
        collective_task_(program.ops.size(), kNoTask),
        uses_(program.storages.size()) {
    MakeStreams();
  }

  ProgramGraph Build() {
    const std::vector<std::vector<ir::OpId>> ended = ir::EndedBy(program_);
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      const ir::Op& op = program_.ops[i];
      const ir::OpId id(i);
      launch_ = Launch(op, id);
      if (op.kind == ir::OpKind::kCompute) AddCompute(op, id);
      if (op.kind == ir::OpKind::kCollectiveStart) AddCollective(op, id);
      if (op.kind == ir::OpKind::kWait) AddWait(op, id, ended[i]);
    }
    return std::move(result_);
  }

 private:
  size_t AddStream(ir::Stream::Kind kind, int32_t index, std::string name) {
    result_.streams.push_back({kind, index, std::move(name)});
    return result_.streams.size() - 1;
  }

  size_t AddResource() {
    result_.tasks_by_resource.emplace_back();
    return result_.tasks_by_resource.size() - 1;
  }

  void MakeStreams() {
    AddStream(ir::Stream::Kind::kHost, 0, "host");
    AddResource();
    int32_t compute_streams = 1;
    std::vector<bool> communicates(program_.groups.size(), false);
    for (const ir::Op& op : program_.ops) {
      compute_streams = std::max(compute_streams, op.compute_stream + 1);
      if (op.kind == ir::OpKind::kCollectiveStart) communicates[op.group.index()] = true;
    }
    for (int32_t k = 0; k < compute_streams; ++k) {
      compute_stream_.push_back(AddStream(ir::Stream::Kind::kCompute, k, k == 0 ? "compute" : fmt::format("compute.{}", k)));
      compute_resource_.push_back(one_thread_ ? kHost : AddResource());
    }
    result_.compute_resources = one_thread_ ? std::vector<size_t>{kHost} : compute_resource_;
    group_stream_.resize(program_.groups.size());
    group_resource_.resize(program_.groups.size());
    for (size_t g = 0; g < program_.groups.size(); ++g) {
      if (!communicates[g]) continue;
      group_stream_[g] = AddStream(ir::Stream::Kind::kCommunication, static_cast<int32_t>(g), "communication." + program_.groups[g].name);
      group_resource_[g] = AddResource();
    }
  }

  uint32_t LastOf(size_t resource) const {
    const auto& tasks = result_.tasks_by_resource[resource];
    return tasks.empty() ? kNoTask : tasks.back();
  }

  void After(uint32_t task) {
    if (task != kNoTask) before_.push_back(task);
  }

  // Adds the task after everything named by After() and the last task of its resource.
  uint32_t Add(ir::OpId op, TaskKind kind, size_t stream, size_t resource, Duration duration) {
    After(LastOf(resource));
    std::ranges::sort(before_);
    before_.erase(std::unique(before_.begin(), before_.end()), before_.end());
    const uint32_t task = AddTask(result_.graph, duration.picoseconds(), before_);
    before_.clear();
    result_.tasks.push_back({op, kind, static_cast<int32_t>(stream)});
    result_.tasks_by_resource[resource].push_back(task);
    return task;
  }

  uint32_t Launch(const ir::Op& op, ir::OpId id) {
    Duration duration = costs_.host.per_op;
    if (op.kind == ir::OpKind::kCollectiveStart) duration += costs_.host.per_collective;
    if (op.kind == ir::OpKind::kWait) duration += costs_.host.per_wait;
    return Add(id, TaskKind::kLaunch, 0, kHost, duration);
  }

  void AddCompute(const ir::Op& op, ir::OpId id) {
    const auto k = static_cast<size_t>(op.compute_stream);
    After(launch_);
    After(on_cores_);
    OrderAccesses(op, result_.graph.size());
    Add(id, TaskKind::kCompute, compute_stream_[k], compute_resource_[k], costs_.ops[id.index()].duration);
  }

  void AddCollective(const ir::Op& op, ir::OpId id) {
    const size_t compute = compute_resource_[static_cast<size_t>(op.compute_stream)];
    After(launch_);
    After(LastOf(compute));
    After(on_cores_);
    OrderAccesses(op, result_.graph.size());
    const uint32_t task =
        Add(id, TaskKind::kCollective, group_stream_[op.group.index()], group_resource_[op.group.index()], costs_.ops[id.index()].duration);
    collective_task_[id.index()] = task;
    if (shares_cores_) on_cores_ = task;
  }

  void AddWait(const ir::Op& op, ir::OpId id, const std::vector<ir::OpId>& ended) {
    const auto k = static_cast<size_t>(op.compute_stream);
    After(launch_);
    for (const ir::OpId start : ended) After(collective_task_[start.index()]);
    Add(id, TaskKind::kWait, compute_stream_[k], compute_resource_[k], Duration());
  }

  // Dependencies through memory: read after write, write after write and write after read.
  void OrderAccesses(const ir::Op& op, size_t next_task) {
    const auto task = static_cast<uint32_t>(next_task);
    for (const ir::TensorId tensor : ir::TensorArguments(op)) After(uses_[program_.tensor(tensor).storage.index()].writer);
    for (const ir::TensorId tensor : op.results) {
      if (!tensor.valid()) continue;
      const StorageUse& use = uses_[program_.tensor(tensor).storage.index()];
      After(use.writer);
      for (const uint32_t reader : use.readers) After(reader);
    }
    for (const ir::TensorId tensor : ir::TensorArguments(op)) NoteRead(uses_[program_.tensor(tensor).storage.index()], op, task);
    for (const ir::TensorId tensor : op.results) {
      if (tensor.valid()) uses_[program_.tensor(tensor).storage.index()] = {task, {}};
    }
  }

  void NoteRead(StorageUse& use, const ir::Op& reader, uint32_t task) const {
    const auto same_stream = std::ranges::find_if(use.readers, [&](uint32_t other) {
      if (other == task) return true;  // two operands on one storage
      const ir::Op& op = program_.op(result_.tasks[other].op);
      return op.kind == reader.kind && op.group == reader.group && op.compute_stream == reader.compute_stream;
    });
    if (same_stream == use.readers.end()) {
      use.readers.push_back(task);
    } else {
      *same_stream = task;
    }
  }

  const ir::Program& program_;
  const TaskCosts& costs_;
  const bool shares_cores_;
  const bool one_thread_;
  ProgramGraph result_;
  std::vector<size_t> compute_stream_;    // by compute stream number: row of the timeline
  std::vector<size_t> compute_resource_;  // by compute stream number
  std::vector<size_t> group_stream_;      // by group
  std::vector<size_t> group_resource_;
  std::vector<uint32_t> collective_task_;  // by op
  std::vector<StorageUse> uses_;           // by storage
  std::vector<uint32_t> before_;           // predecessors of the next task
  uint32_t launch_ = kNoTask;              // of the current op
  uint32_t on_cores_ = kNoTask;            // the last collective that takes compute time
};

}  // namespace

ProgramGraph BuildProgramGraph(const ir::Program& program, const TaskCosts& costs, bool communication_shares_cores) {
  HELM_CHECK(costs.ops.size() == program.ops.size(), "one cost for each op");
  return GraphBuilder(program, costs, communication_shares_cores).Build();
}

}  // namespace helm::sim
