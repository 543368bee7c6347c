// ProgramGraph: the tasks of a program on one rank, ready for the static-order engine: what runs on which resource, after what.
//
// Every op has a host task (the launch, on the host thread). Compute ops, collectives and waits have a second one:
//   compute op         on its compute stream; after its launch, the stream's last task, and whatever on other streams wrote what it reads
//   or
//                      wrote or read what it overwrites
//   collective start   on the communication stream of its group; after its launch, that stream's last task, and the work that was launched
//                      before it on its compute stream (the start records an event there, as c10d does)
//   wait               on its compute stream, takes no time; after the collectives that it ends
// On a GPU host thread and streams are resources of their own. On a CPU the host thread is the compute stream: launches and compute ops
// take turns on one resource, and a wait blocks the thread.
//
// communication_shares_cores (CPU ranks that keep all cores busy): moving data between ranks of one machine is work for the same cores, so
// a rank does not compute while it communicates: the next compute op and the next collective start only when the collective has ended.
// However the cores interleave the two in truth, from the launch to the wait they need the sum of both. Launches go on meanwhile. Limits:
// docs/simulator.md.
//
// Invariant: tasks are numbered in launch order, which is a topological order; tasks of one resource do not overlap.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/program.h"
#include "ir/timeline.h"
#include "sim/static_engine.h"
#include "sim/task_costs.h"

namespace helm::sim {

enum class TaskKind : uint8_t { kLaunch, kCompute, kCollective, kWait };

struct Task {
  ir::OpId op;
  TaskKind kind = TaskKind::kLaunch;
  int32_t stream = 0;  // index into ProgramGraph::streams: the row of the timeline
};

struct ProgramGraph {
  TaskGraph graph;
  std::vector<Task> tasks;          // by task number
  std::vector<ir::Stream> streams;  // "host", compute streams, communication streams of the groups that communicate
  // By resource, the tasks that occupy it, in order. Resource 0 is the host thread. Compute streams follow, on a GPU; then groups.
  std::vector<std::vector<uint32_t>> tasks_by_resource;
  std::vector<size_t> compute_resources;  // of the compute streams; on a CPU just resource 0
};

ProgramGraph BuildProgramGraph(const ir::Program& program, const TaskCosts& costs, bool communication_shares_cores);

}  // namespace helm::sim
