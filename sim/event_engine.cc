#include "sim/event_engine.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

#include "core/check.h"
#include "sim/pending_events.h"
#include "sim/stall.h"

namespace helm::sim {
namespace {

// A stream of kEarliestReady: ready tasks by (time, number).
struct DynamicStream {
  using Ready = std::pair<int64_t, uint32_t>;
  std::priority_queue<Ready, std::vector<Ready>, std::greater<>> ready;
  bool busy = false;
  bool changed = false;
};

class EventRun {
 public:
  EventRun(const EventGraph& graph, const Successors& successors, const EventOptions& options)
      : graph_(graph),
        successors_(successors),
        open_(successors.open),
        streams_(graph.stream_orders.size()),
        shared_(graph, options.record_changes ? &times_.changes : nullptr) {
    times_.start.assign(graph.size(), kNotYet);
    times_.finish.assign(graph.size(), kNotYet);
  }

  Result<EventTimes> Run(const EventOptions& options) {
    for (uint32_t task = 0; task < graph_.size(); ++task) {
      if (open_[task] == 0) MakeReady(task);
    }
    Settle();
    size_t turn = 0;
    while (!events_.empty()) {
      HELM_RETURN_IF_ERROR(options.cancellation.CheckAt(turn++));
      now_ = events_.top().time;
      while (!events_.empty() && events_.top().time == now_) HandleNext();
      Settle();
    }
    if (ended_ < graph_.size()) {
      return StallError(graph_, {times_.start, times_.finish, now_, kNotYet}, options.name_of);
    }
    times_.makespan = graph_.size() == 0 ? 0 : *std::max_element(times_.finish.begin(), times_.finish.end());
    return std::move(times_);
  }

 private:
  static constexpr int64_t kNotYet = -1;

  bool IsDynamic(uint32_t stream) const { return stream != kNone && graph_.stream_orders[stream] == StreamOrder::kEarliestReady; }

  void Touch(uint32_t stream) {
    if (streams_[stream].changed) return;
    streams_[stream].changed = true;
    changed_streams_.push_back(stream);
  }

  void MakeReady(uint32_t task) {
    const uint32_t stream = graph_.streams[task];
    if (IsDynamic(stream)) {
      streams_[stream].ready.emplace(now_, task);
      Touch(stream);
    } else {
      Start(task);
    }
  }

  void Start(uint32_t task) {
    times_.start[task] = now_;
    const int64_t work = graph_.work[task];
    if (graph_.shared[task] == kNone || work == 0) {
      HELM_CHECK(work <= std::numeric_limits<int64_t>::max() - now_, "simulated time has 63 bits of picoseconds");
      events_.Push({now_ + work, task, 0});
    } else {
      shared_.Start(task);
    }
  }

  void HandleNext() {
    const PendingEvent event = events_.top();
    events_.Pop();
    ++times_.events;
    const uint32_t task = event.task;
    if (graph_.shared[task] != kNone && graph_.work[task] > 0) {
      if (!shared_.IsCurrent(event)) return;
      shared_.End(task, now_);
    }
    HELM_CHECK(times_.finish[task] == kNotYet, "a task ends once");
    times_.finish[task] = now_;
    ++ended_;
    const uint32_t stream = graph_.streams[task];
    if (IsDynamic(stream)) {
      streams_[stream].busy = false;
      Touch(stream);
    }
    const uint32_t begin = task == 0 ? 0 : successors_.ends[task - 1];
    for (uint32_t i = begin; i < successors_.ends[task]; ++i) {
      const uint32_t next = successors_.tasks[i];
      if (--open_[next] == 0) MakeReady(next);
    }
  }

  // What can be decided only when all that ends now has ended.
  void Settle() {
    for (const uint32_t index : changed_streams_) {
      DynamicStream& stream = streams_[index];
      stream.changed = false;
      if (stream.busy || stream.ready.empty()) continue;
      const uint32_t task = stream.ready.top().second;
      stream.ready.pop();
      stream.busy = true;
      Start(task);
    }
    changed_streams_.clear();
    shared_.Settle(now_, events_);
  }

  const EventGraph& graph_;
  const Successors& successors_;
  std::vector<uint32_t> open_;  // by task: predecessors that have not ended
  std::vector<DynamicStream> streams_;
  std::vector<uint32_t> changed_streams_;
  EventTimes times_;
  SharedTasks shared_;
  PendingEvents events_;
  int64_t now_ = 0;
  size_t ended_ = 0;
};

}  // namespace

Result<EventTimes> SimulateEvents(const EventGraph& graph, const Successors& successors, const EventOptions& options) {
  HELM_CHECK(successors.ends.size() == graph.size(), "the successors of this graph");
  return EventRun(graph, successors, options).Run(options);
}

Result<EventTimes> SimulateEvents(const EventGraph& graph, const EventOptions& options) {
  return SimulateEvents(graph, SuccessorsOf(graph), options);
}

}  // namespace helm::sim
