#include "sim/stall.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/check.h"

namespace helm::sim {
namespace {

constexpr size_t kLinesMost = 20;

struct Link {
  uint32_t task = kNone;
  uint32_t waits_for = kNone;  // kNone: the chain ends here
  std::string why;
};

class Explanation {
 public:
  Explanation(const EventGraph& graph, const StalledTimes& times, const std::function<std::string(uint32_t)>& name_of)
      : graph_(graph), times_(times), name_of_(name_of), stream_before_(StreamPredecessors(graph)) {}

  std::string Name(uint32_t task) const { return name_of_ ? name_of_(task) : fmt::format("task {}", task); }
  bool Ended(uint32_t task) const { return times_.finish[task] != times_.not_yet; }

  // What `task` waits for; of several the dependency with the lowest number first.
  Link Next(uint32_t task) const {
    if (times_.start[task] != times_.not_yet)
      return {task, kNone, "is held at rate 0 by what runs beside it or by a resource without capacity"};
    uint32_t lowest = kNone;
    for (const uint32_t before : graph_.PredecessorsOf(task)) {
      if (before == kMissingPartner) return {task, kNone, "waits for a partner that no task plays"};
      if (!Ended(before)) lowest = std::min(lowest, before);
    }
    if (lowest != kNone) return {task, lowest, ", which it depends on"};
    const uint32_t stream = graph_.streams[task];
    if (stream_before_[task] != kNone) return {task, stream_before_[task], fmt::format(", which is before it on stream {}", stream)};
    for (uint32_t other = 0; other < graph_.size(); ++other) {
      const bool occupies = times_.start[other] != times_.not_yet && !Ended(other);
      if (graph_.streams[other] == stream && occupies) return {task, other, fmt::format(", which occupies stream {}", stream)};
    }
    HELM_CHECK(false, "a task that waits for nothing runs");
    return {};
  }

  // Follows the chain from the first task that has not ended, and cuts off what leads to a cycle.
  std::pair<std::vector<Link>, bool> Chain() const {
    std::vector<size_t> place(graph_.size(), graph_.size());
    std::vector<Link> chain;
    uint32_t task = 0;
    while (Ended(task)) ++task;
    while (task != kNone && place[task] == graph_.size()) {
      place[task] = chain.size();
      chain.push_back(Next(task));
      task = chain.back().waits_for;
    }
    if (task == kNone) return {chain, false};
    chain.erase(chain.begin(), chain.begin() + static_cast<std::ptrdiff_t>(place[task]));
    return {chain, true};
  }

 private:
  const EventGraph& graph_;
  const StalledTimes& times_;
  const std::function<std::string(uint32_t)>& name_of_;
  const std::vector<uint32_t> stream_before_;
};

}  // namespace

Status StallError(const EventGraph& graph, const StalledTimes& times, const std::function<std::string(uint32_t)>& name_of) {
  const Explanation explanation(graph, times, name_of);
  const auto left = std::count(times.finish.begin(), times.finish.end(), times.not_yet);
  const auto [chain, cycle] = explanation.Chain();
  std::string message = fmt::format("error: the simulation stalls at {} ps: {} of {} tasks are left and none can run; {}:", times.now, left,
                                    graph.size(), cycle ? "a cycle of waiting" : "who waits for whom");
  for (size_t i = 0; i < chain.size(); ++i) {
    if (i == kLinesMost && chain.size() > kLinesMost + 1) {
      message += fmt::format("\n  ... and {} more", chain.size() - kLinesMost);
      break;
    }
    const Link& link = chain[i];
    message += link.waits_for == kNone
                   ? fmt::format("\n  {} {}", explanation.Name(link.task), link.why)
                   : fmt::format("\n  {} waits for {}{}", explanation.Name(link.task), explanation.Name(link.waits_for), link.why);
  }
  message += cycle ? "\n  to fix it, order the tasks of the streams as their dependencies go"
                   : "\n  to fix it, give every receive its send and every collective all of its members, and every resource capacity";
  return InvalidError(message);
}

}  // namespace helm::sim
