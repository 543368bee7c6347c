// StepGraph: the tasks of a step, one rank of each class, ready for the static-order engine: what runs on which resource, after what.
//
// Every op has a host task (the launch, on the host thread). Compute ops, collectives and waits have a second one:
//   compute op         on its compute stream; after its launch, the stream's last task, and whatever on other streams wrote what it reads
//                      or wrote or read what it overwrites
//   collective start   on the communication stream of its group; after its launch, that stream's last task, and the work that was launched
//                      before it on its compute stream (the start records an event there, as c10d does)
//   send, recv         two tasks that start when both are ready and take the same time, one on each rank; from class to class in order.
//                      Likewise a collective over several classes (pipeline stages), a task in each
//   wait               on its compute stream, takes no time; after the collectives that it ends
// On a GPU host thread and streams are resources of their own. On a CPU the host thread is the compute stream: launches and compute ops
// take turns on one resource, and a wait blocks the thread.
//
// communication_shares_cores (CPU ranks that keep all cores busy): moving data between ranks of one machine is work for the same cores, so
// a rank does not compute while it communicates: the next compute op and the next collective start only when the collective has ended.
// However the cores interleave the two in truth, from the launch to the wait they need the sum of both. Launches go on meanwhile. A send
// or recv is different: it may wait for its partner, and the rank computes meanwhile. Limits: docs/simulator.md.
//
// Invariant: tasks are numbered so that predecessors come first (programs are walked side by side, each up to a wait for a message that its
// partner has not posted yet); tasks of one resource of one class are in launch order and do not overlap.
#pragma once

#include <cstdint>
#include <vector>

#include "core/cancellation.h"
#include "core/status.h"
#include "ir/step_programs.h"
#include "ir/stream_layout.h"
#include "sim/static_engine.h"
#include "sim/task_costs.h"

namespace helm::sim {

enum class TaskKind : uint8_t { kLaunch, kCompute, kCollective, kTransfer, kWait };

struct Task {
  ir::OpId op;  // in the program of its class
  TaskKind kind = TaskKind::kLaunch;
  int32_t stream = 0;       // row of the timeline (ir/stream_layout.h)
  uint32_t rank_class = 0;  // index into StepPrograms::classes
};

struct ClassTasks {
  std::vector<uint32_t> tasks;  // ascending
  // By row of the timeline, the tasks that occupy it, in order; on a CPU compute tasks occupy row 0, the host thread.
  std::vector<std::vector<uint32_t>> tasks_by_resource;
  std::vector<size_t> compute_resources;  // of the compute streams; on a CPU just resource 0
};

struct StepGraph {
  TaskGraph graph;
  std::vector<Task> tasks;  // by task number
  std::vector<ir::Stream> streams;
  std::vector<ClassTasks> classes;
};

// `costs`: by class. When the programs wait for each other for ever, the error says who waits for what.
Result<StepGraph> BuildStepGraph(const ir::StepPrograms& step, const std::vector<TaskCosts>& costs, bool communication_shares_cores,
                                 const Cancellation& cancellation = {});

}  // namespace helm::sim
