// ClassBuilder: adds the tasks of one rank class to a StepGraph, op by op, as far as messages from other classes allow. Internal to sim/.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "core/cancellation.h"
#include "ir/step_programs.h"
#include "ir/stream_layout.h"
#include "sim/step_graph.h"
#include "sim/task_costs.h"

namespace helm::sim {

// A message, or a collective over several classes, that its rank has launched and whose partners have not all been found yet.
struct Posted {
  ir::OpId op;
  std::string group;
  std::vector<size_t> members;  // classes: of a message sender and receiver, in this order
  int64_t tag = -1;             // of a message
  int32_t batch = -1;
  std::vector<uint32_t> after;  // its launch, and the work launched before it

  bool is_message() const { return tag >= 0; }
};

class ClassBuilder {
 public:
  ClassBuilder(const ir::StepPrograms& step, size_t rank_class, const TaskCosts& costs, const ir::StreamLayout& layout, bool shares_cores,
               StepGraph& result);

  // Adds the ops up to the next wait for a message that has no task yet, or until it is cancelled. False when it could add none.
  bool Advance(const Cancellation& cancellation);
  bool finished() const { return next_ == program_.ops.size(); }
  std::string WaitsFor() const;

  // Posted ops before which, on their channel, no other is left: the first, and those in its batch.
  std::vector<Posted> Ready() const;
  // This class's own part of what a member has posted; null when it is not ready.
  const Posted* ReadyFor(const Posted& posted) const;
  // Adds to `after` what this part must wait for, raises `duration` to its price.
  void CollectBefore(const Posted& own, std::vector<uint32_t>& after, Duration& duration) const;
  // Adds the task. REQUIRES: `own` is of Ready().
  void Begin(const Posted& own, const std::vector<uint32_t>& after, Duration duration);

 private:
  static constexpr uint32_t kNoTask = std::numeric_limits<uint32_t>::max();

  // Who used a storage last, for the dependencies between streams. Order on one stream is a stream's own.
  struct StorageUse {
    uint32_t writer = kNoTask;
    std::vector<uint32_t> readers;  // since the last write, at most one (the last) for each stream
  };
  // What happens in order: the messages to or from one peer of a group, or the group's collectives.
  struct Channel {
    std::vector<Posted> posted;
    std::vector<uint32_t> ended;         // tasks of the last message or batch
    std::vector<uint32_t> before_batch;  // what the batch of the last message came after
    int32_t batch = -1;
  };
  using ChannelKey = std::pair<int32_t, std::vector<size_t>>;  // group; sender and receiver, or none

  bool CanWait(size_t op) const;
  void AddOp(size_t op);
  uint32_t Launch(const ir::Op& op, ir::OpId id);
  void AddCompute(const ir::Op& op, ir::OpId id);
  void AddCollective(const ir::Op& op, ir::OpId id);
  void Post(const ir::Op& op, ir::OpId id);
  void AddWait(const ir::Op& op, ir::OpId id);
  void OrderAccesses(const ir::Op& op);
  void NoteRead(StorageUse& use, const ir::Op& reader, uint32_t task) const;
  const std::vector<uint32_t>& Before(const Posted& posted) const;
  ChannelKey KeyOf(const Posted& posted) const;
  bool IsFirst(const Channel& channel, const Posted& posted) const;
  std::vector<size_t> MembersOf(const ir::Op& op) const;
  // The send of this class that a recv from a rank of the same class meets there: all of them send at once.
  ir::OpId OwnSendOf(const ir::Op& receive, ir::OpId id) const;

  size_t ComputeResource(const ir::Op& op) const;
  uint32_t LastOf(size_t resource) const;
  void After(uint32_t task);
  void AfterAll(const std::vector<uint32_t>& tasks);
  // Adds the task after everything named by After(). Tasks of a serial resource come after its last one.
  uint32_t Add(ir::OpId op, TaskKind kind, size_t stream, size_t resource, Duration duration);

  const ir::StepPrograms& step_;
  const size_t rank_class_;
  const ir::Program& program_;
  const TaskCosts& costs_;
  const ir::StreamLayout& layout_;
  const bool shares_cores_;
  const bool one_thread_;
  StepGraph& result_;
  const std::vector<std::vector<ir::OpId>> ended_by_;  // by wait
  std::vector<std::vector<size_t>> classes_of_group_;
  size_t next_ = 0;
  std::vector<uint32_t> collective_task_;  // by op
  std::vector<StorageUse> uses_;           // by storage
  std::map<ChannelKey, Channel> channels_;
  std::vector<uint32_t> before_;  // predecessors of the next task
  uint32_t launch_ = kNoTask;     // of the current op
  uint32_t waited_ = kNoTask;     // for which the host waits before its next launch
  ir::OpId read_by_host_;         // the op whose result the host reads before it goes on (HostCosts::waits_for_norm); none
  uint32_t blocks_ = kNoTask;     // the last collective of this class alone, for launches that wait (HostCosts::blocking)
  uint32_t on_cores_ = kNoTask;   // the last collective that takes compute time
};

}  // namespace helm::sim
