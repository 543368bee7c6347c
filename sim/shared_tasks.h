// SharedTasks: the running tasks of an EventGraph that slow each other down: their rates, and how much work is left.
//
// Rates change only when a task starts or ends. Between two such times remaining work falls by rate x time, in whole units of 1 / kFullRate
// picosecond (128 bits), so nothing is lost to rounding. A task ends at the first whole picosecond at which its work is done: up to one
// picosecond late, and at most one picosecond of its share goes to nobody. Rates that do not change leave the end as it is.
//
// Only the tasks that a change reaches are worked on: those connected to it through resources that are, or were, asked for more than
// they have. A resource that suffices for all of its users connects nobody.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/event_graph.h"
#include "sim/max_min.h"
#include "sim/pending_events.h"

namespace helm::sim {

struct RateChange {
  int64_t time = 0;  // from then on
  uint32_t task = 0;
  Rate rate = 0;  // 0 at its end
};

class SharedTasks {
 public:
  // `graph` must outlive this. `changes`, if not null, receives every change of a rate.
  SharedTasks(const EventGraph& graph, std::vector<RateChange>* changes);

  void Start(uint32_t task);
  void End(uint32_t task, int64_t now);
  // After all starts and ends at `now`: finds the new rates and pushes the new ends.
  void Settle(int64_t now, PendingEvents& events);
  // Whether a pushed end still holds.
  bool IsCurrent(const PendingEvent& event) const { return running_[graph_.shared[event.task]].stamp == event.stamp; }

 private:
  struct Running {
    __int128 remaining = 0;  // at `since`, in 1 / kFullRate picoseconds
    int64_t since = 0;
    Rate rate = 0;
    Rate ceiling = kFullRate;  // what contention allows
    uint32_t task = kNone;
    uint32_t stamp = 0;
    uint32_t place_on_device = 0;
    bool active = false;
    bool started = false;  // has been given a rate
    bool reached = false;  // by the change that is being settled
  };
  struct User {
    uint32_t shared = 0;
    uint32_t use = 0;
  };
  struct Resource {
    __int128 load = 0;  // of its users at full rate
    bool was_short = false;
    bool reached = false;
    std::vector<User> users;
  };
  struct Device {
    std::vector<uint32_t> running;
    std::vector<uint32_t> count_by_kind;
    bool changed = false;
  };

  bool IsShort(uint32_t resource) const { return resources_[resource].load > graph_.capacities[resource]; }
  void TouchDevice(uint32_t device);
  void UpdateCeilings(uint32_t device);
  void Reach(uint32_t shared);
  void ReachThrough(uint32_t resource);
  void FindReached();
  void SetRate(uint32_t shared, Rate rate, int64_t now, PendingEvents& events);

  const EventGraph& graph_;
  std::vector<RateChange>* const changes_;
  MaxMinShares shares_;
  std::vector<Running> running_;  // by place in graph.sharing
  std::vector<Resource> resources_;
  std::vector<Device> devices_;
  std::vector<uint32_t> place_of_use_;  // by graph.uses: where the user stands in its resource's list
  std::vector<uint32_t> changed_devices_;
  std::vector<uint32_t> changed_resources_;
  std::vector<uint32_t> reached_;  // tasks whose rates may change, as places in graph.sharing
  std::vector<SharedFlow> flows_;
  std::vector<Rate> rates_;
};

}  // namespace helm::sim
