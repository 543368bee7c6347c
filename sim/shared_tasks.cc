#include "sim/shared_tasks.h"

#include "core/check.h"

namespace helm::sim {

SharedTasks::SharedTasks(const EventGraph& graph, std::vector<RateChange>* changes)
    : graph_(graph),
      changes_(changes),
      shares_(graph.capacities),
      running_(graph.sharing.size()),
      resources_(graph.capacities.size()),
      devices_(graph.contention_of_device.size()),
      place_of_use_(graph.uses.size()) {
  for (size_t device = 0; device < devices_.size(); ++device) {
    devices_[device].count_by_kind.resize(graph.contentions[graph.contention_of_device[device]].kinds);
  }
}

void SharedTasks::TouchDevice(uint32_t device) {
  if (devices_[device].changed) return;
  devices_[device].changed = true;
  changed_devices_.push_back(device);
}

void SharedTasks::Start(uint32_t task) {
  const uint32_t shared = graph_.shared[task];
  const Sharing& sharing = graph_.sharing[shared];
  Running& running = running_[shared];
  running.remaining = static_cast<__int128>(graph_.work[task]) * kFullRate;
  running.task = task;
  running.active = true;
  for (uint32_t use = sharing.uses_begin; use < sharing.uses_end; ++use) {
    Resource& resource = resources_[graph_.uses[use].resource];
    resource.load += static_cast<__int128>(sharing.flow) * graph_.uses[use].multiplicity;
    place_of_use_[use] = static_cast<uint32_t>(resource.users.size());
    resource.users.push_back({shared, use});
  }
  if (sharing.device != kNone) {
    Device& device = devices_[sharing.device];
    running.place_on_device = static_cast<uint32_t>(device.running.size());
    device.running.push_back(shared);
    ++device.count_by_kind[sharing.kind];
    TouchDevice(sharing.device);
  }
  Reach(shared);
}

void SharedTasks::End(uint32_t task, int64_t now) {
  const uint32_t shared = graph_.shared[task];
  const Sharing& sharing = graph_.sharing[shared];
  Running& running = running_[shared];
  running.active = false;
  if (changes_ != nullptr) changes_->push_back({now, task, 0});
  for (uint32_t use = sharing.uses_begin; use < sharing.uses_end; ++use) {
    const uint32_t index = graph_.uses[use].resource;
    Resource& resource = resources_[index];
    resource.load -= static_cast<__int128>(sharing.flow) * graph_.uses[use].multiplicity;
    const User moved = resource.users.back();
    resource.users[place_of_use_[use]] = moved;
    place_of_use_[moved.use] = place_of_use_[use];
    resource.users.pop_back();
    if (resource.was_short) changed_resources_.push_back(index);
  }
  if (sharing.device != kNone) {
    Device& device = devices_[sharing.device];
    const uint32_t moved = device.running.back();
    device.running[running.place_on_device] = moved;
    running_[moved].place_on_device = running.place_on_device;
    device.running.pop_back();
    --device.count_by_kind[sharing.kind];
    TouchDevice(sharing.device);
  }
}

// Other kinds count as beside a task when one runs, its own kind when two do.
void SharedTasks::UpdateCeilings(uint32_t index) {
  Device& device = devices_[index];
  device.changed = false;
  const Contention& contention = graph_.contentions[graph_.contention_of_device[index]];
  for (const uint32_t shared : device.running) {
    const uint32_t kind = graph_.sharing[shared].kind;
    uint32_t beside = 0;
    for (uint32_t other = 0; other < contention.kinds; ++other) {
      if (device.count_by_kind[other] > (other == kind ? 1U : 0U)) beside |= 1U << other;
    }
    const Rate ceiling = contention.rates[kind << contention.kinds | beside];
    if (ceiling == running_[shared].ceiling) continue;
    running_[shared].ceiling = ceiling;
    Reach(shared);
  }
}

void SharedTasks::Reach(uint32_t shared) {
  if (running_[shared].reached) return;
  running_[shared].reached = true;
  reached_.push_back(shared);
}

void SharedTasks::ReachThrough(uint32_t index) {
  Resource& resource = resources_[index];
  if (resource.reached) return;
  const bool is_short = IsShort(index);
  if (!is_short && !resource.was_short) return;
  resource.reached = true;
  for (const User& user : resource.users) Reach(user.shared);
  changed_resources_.push_back(index);
}

// Completes reached_: who is connected to a change through a resource that is or was short.
void SharedTasks::FindReached() {
  for (const uint32_t device : changed_devices_) UpdateCeilings(device);
  changed_devices_.clear();
  for (size_t i = 0, count = changed_resources_.size(); i < count; ++i) ReachThrough(changed_resources_[i]);
  for (size_t i = 0; i < reached_.size(); ++i) {  // grows on the way
    for (const ResourceUse& use : graph_.UsesOf(graph_.sharing[reached_[i]])) ReachThrough(use.resource);
  }
  for (const uint32_t index : changed_resources_) {
    resources_[index].was_short = IsShort(index);
    resources_[index].reached = false;
  }
  changed_resources_.clear();
}

void SharedTasks::SetRate(uint32_t shared, Rate rate, int64_t now, PendingEvents& events) {
  Running& running = running_[shared];
  if (running.started && running.rate == rate) return;
  running.remaining -= static_cast<__int128>(running.rate) * (now - running.since);
  running.since = now;
  running.rate = rate;
  running.started = true;
  ++running.stamp;
  if (changes_ != nullptr) changes_->push_back({now, running.task, rate});
  if (running.remaining <= 0) {
    events.Push({now, running.task, running.stamp});  // its work is done at this very time
  } else if (rate > 0) {
    const __int128 left = (running.remaining + rate - 1) / rate;
    HELM_CHECK(left <= std::numeric_limits<int64_t>::max() - now, "simulated time has 63 bits of picoseconds");
    events.Push({now + static_cast<int64_t>(left), running.task, running.stamp});
  }
}

void SharedTasks::Settle(int64_t now, PendingEvents& events) {
  if (reached_.empty() && changed_devices_.empty() && changed_resources_.empty()) return;
  FindReached();
  size_t count = 0;
  flows_.clear();
  for (const uint32_t shared : reached_) {
    running_[shared].reached = false;
    if (!running_[shared].active) continue;
    const Sharing& sharing = graph_.sharing[shared];
    flows_.push_back({sharing.flow, running_[shared].ceiling, graph_.UsesOf(sharing)});
    reached_[count++] = shared;
  }
  reached_.resize(count);
  rates_.resize(count);
  shares_.Solve(flows_, rates_);
  for (size_t i = 0; i < count; ++i) SetRate(reached_[i], rates_[i], now, events);
  reached_.clear();
}

}  // namespace helm::sim
