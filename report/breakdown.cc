#include "report/breakdown.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "report/intervals.h"

namespace helm::report {
namespace {

using ir::Stream;
using ir::TimelineEvent;

// What a rank did when, before it is made into sets.
struct Activity {
  std::vector<Interval> computing;      // kind "compute" on a compute stream
  std::vector<Interval> optimizing;     // those of the optimizer
  std::vector<Interval> occupied;       // a compute stream has anything but a wait
  std::vector<Interval> collectives;    // in flight
  std::vector<Interval> waits;          // waited for anything
  std::vector<Interval> transfers;      // point-to-point, in flight
  std::vector<Interval> communicating;  // events of communication streams
  std::vector<Interval> hosting;        // the host thread works
  Duration end;
  ir::RankSummary summary;
};

bool IsTransfer(std::string_view target) { return target == "c10d.send" || target == "c10d.recv"; }

void Add(const TimelineEvent& event, const ir::Timeline& timeline, Activity& activity) {
  const ir::TimelineOp& op = timeline.ops[event.op.index()];
  const Stream::Kind kind = timeline.streams[static_cast<size_t>(event.stream)].kind;
  const Interval interval{event.start, event.start + event.duration};
  activity.end = std::max(activity.end, interval.end);
  if (kind == Stream::Kind::kCommunication) {
    (IsTransfer(op.target) ? activity.transfers : activity.collectives).push_back(interval);
    activity.communicating.push_back(interval);
  } else if (kind == Stream::Kind::kHost) {
    activity.hosting.push_back(interval);
  } else if (op.kind == "wait") {
    activity.waits.push_back(interval);
  } else {
    activity.occupied.push_back(interval);
    if (op.kind == "compute") activity.computing.push_back(interval);
    if (op.kind == "compute" && op.phase == "optimizer") activity.optimizing.push_back(interval);
  }
}

bool Overlap(const IntervalSet& a, const IntervalSet& b) { return Difference(a, b) != a; }

// When the compute streams are not idle. A host thread that never works beside them is the compute stream (a CPU): then launching occupies
// it too. Beside a GPU the host runs ahead, and what it does says nothing about the streams.
IntervalSet Occupied(const Activity& activity, const IntervalSet& computing) {
  const IntervalSet occupied(activity.occupied);
  const IntervalSet hosting(activity.hosting);
  return Overlap(hosting, computing) ? occupied : Union(occupied, hosting);
}

// A wait for a transfer is waiting for another stage: it must not count as exposed communication. A wait names no collective here, so the
// part of it in which only transfers are in flight is given to them.
RankUse Measure(int32_t rank, Activity activity) {
  const IntervalSet communicating(std::move(activity.communicating));
  const IntervalSet waits(std::move(activity.waits));
  const IntervalSet transfers(std::move(activity.transfers));
  const IntervalSet collectives(std::move(activity.collectives));
  const IntervalSet computing(std::move(activity.computing));
  const IntervalSet optimizing(std::move(activity.optimizing));
  const IntervalSet occupied = Occupied(activity, computing);

  RankUse use;
  use.rank = rank;
  use.makespan = std::max(activity.summary.makespan, activity.end);
  use.memory_bytes_peak = activity.summary.memory_bytes_peak;
  use.compute_busy = computing.Measure();
  use.communication_busy = communicating.Measure();
  use.idle = use.makespan - use.compute_busy;
  Breakdown& parts = use.breakdown;
  parts.optimizer = optimizing.Measure();
  parts.compute = use.compute_busy - parts.optimizer;
  parts.exposed_communication = Difference(Union(collectives, Difference(waits, transfers)), occupied).Measure();
  parts.bubble = Difference(Difference(transfers, collectives), occupied).Measure();
  parts.host = use.makespan - use.compute_busy - parts.exposed_communication - parts.bubble;
  return use;
}

}  // namespace

std::vector<RankUse> UseByRank(const ir::Timeline& timeline) {
  std::map<int32_t, Activity> activities;
  for (const ir::RankSummary& summary : timeline.ranks) activities[summary.rank].summary = summary;
  for (const TimelineEvent& event : timeline.events) Add(event, timeline, activities[event.rank]);
  std::vector<RankUse> uses;
  for (auto& [rank, activity] : activities) uses.push_back(Measure(rank, std::move(activity)));
  return uses;
}

}  // namespace helm::report
