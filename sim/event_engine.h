// SimulateEvents: the event engine: runs an EventGraph whose tasks may slow each other down, or whose streams choose their order as they
// go.
//
// Slower than the longest path of sim/static_engine.h by an order of magnitude, and needed only where rates or orders depend on what else
// runs; docs/simulator.md says when which is used. Where nothing is shared and all streams are kInOrder both give the same times, to the
// picosecond (tests/sim/event_engine_property_test.cc).
//
// At each time, in this order: all tasks end that end now, lowest number first, each making its successors ready; tasks without a stream
// or on a kInOrder stream start when they are ready; kEarliestReady streams that are idle take the next task; then the rates are found
// anew. Tasks without work that become ready end at the same time, after those. Integers only, ties end in the task number: the same input
// gives the same bytes. How shared work is rounded: sim/shared_tasks.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/cancellation.h"
#include "core/status.h"
#include "sim/event_graph.h"
#include "sim/shared_tasks.h"

namespace helm::sim {

struct EventTimes {
  std::vector<int64_t> start;  // picoseconds, by task
  std::vector<int64_t> finish;
  int64_t makespan = 0;
  uint64_t events = 0;              // handled, those that a change of rate made void included
  std::vector<RateChange> changes;  // in order of time, when recorded
};

struct EventOptions {
  bool record_changes = false;                   // of the rates of tasks that share
  std::function<std::string(uint32_t)> name_of;  // of a task, for messages; by default "task 5"
  Cancellation cancellation;                     // asked every so many events
};

// An invalid-input error when tasks are left and none can run: it names what waits for what, along a cycle or up to the missing partner or
// the task that is held at rate 0.
Result<EventTimes> SimulateEvents(const EventGraph& graph, const EventOptions& options);
// The same with SuccessorsOf(graph), which a caller that changes only work keeps from run to run.
Result<EventTimes> SimulateEvents(const EventGraph& graph, const Successors& successors, const EventOptions& options);

}  // namespace helm::sim
