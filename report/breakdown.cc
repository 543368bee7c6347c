#include "report/breakdown.h"

#include <algorithm>
#include <map>
#include <utility>

#include "ir/timeline_ranks.h"
#include "report/intervals.h"

namespace helm::report {
namespace {

using ir::Stream;
using ir::TimelineEvent;

struct InFlight {  // of a communication row
  Interval interval;
  ir::OpId op;
  bool transfer = false;
};

// What a rank did when, before it is made into sets.
struct Activity {
  std::vector<Interval> computing;    // kind "compute" on a compute stream
  std::vector<Interval> optimizing;   // those of the optimizer
  std::vector<Interval> occupied;     // a compute stream has anything but a wait
  std::vector<Interval> collectives;  // in flight, and messages under way: both ends have begun
  std::vector<Interval> waits;        // waited for anything
  std::vector<Interval> transfers;    // point-to-point, in flight
  std::vector<Interval> unsent;       // waited for a message, up to its end
  std::vector<InFlight> flights;
  std::vector<std::pair<Interval, ir::OpId>> wait_events;
  std::vector<Interval> communicating;  // events of communication streams
  std::vector<Interval> hosting;        // the host thread works
  Duration end;
  ir::RankSummary summary;
};

void Add(const TimelineEvent& event, const ir::Timeline& timeline, Activity& activity) {
  const ir::TimelineOp& op = timeline.ops[event.op.index()];
  const Stream::Kind kind = timeline.streams[static_cast<size_t>(event.stream)].kind;
  const Interval interval{event.start, event.start + event.duration};
  activity.end = std::max(activity.end, interval.end);
  if (kind == Stream::Kind::kCommunication) {
    (ir::IsTransfer(op) ? activity.transfers : activity.collectives).push_back(interval);
    activity.communicating.push_back(interval);
    activity.flights.push_back({interval, event.op, ir::IsTransfer(op)});
  } else if (kind == Stream::Kind::kHost) {
    activity.hosting.push_back(interval);
  } else if (op.kind == "wait") {
    activity.waits.push_back(interval);
    activity.wait_events.emplace_back(interval, event.op);
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

// What a wait waited for is what ended last inside it (a timeline holds no edges). Where that is a message, the wait until its end is
// waiting for another stage, but for the part in which the message is under way.
void FindUnsent(Activity& activity) {
  std::ranges::sort(activity.flights, {}, [](const InFlight& flight) { return std::pair(flight.interval.end, flight.op); });
  for (const auto& [wait, op] : activity.wait_events) {
    auto at = std::ranges::upper_bound(activity.flights, wait.end, {}, [](const InFlight& flight) { return flight.interval.end; });
    while (at != activity.flights.begin() && std::prev(at)->interval.end > wait.begin) {
      --at;
      if (at->op >= op) continue;
      if (at->transfer) activity.unsent.push_back({wait.begin, at->interval.end});
      break;
    }
  }
}

// A message whose two ends are known is under way from the later one's start. Of one that is known at one end only, all is waiting for the
// other stage.
void AddMessages(const ir::Timeline& timeline, std::map<int32_t, Activity>& activities) {
  for (const ir::Message& message : ir::MessagesOf(timeline)) {
    const TimelineEvent& send = timeline.events[message.send];
    const TimelineEvent& receive = timeline.events[message.receive];
    const Duration begun = std::max(send.start, receive.start);
    for (const TimelineEvent* end : {&send, &receive}) {
      activities[end->rank].collectives.push_back({begun, std::max(begun, end->start + end->duration)});
    }
  }
}

RankUse Measure(int32_t rank, Activity activity, Duration others_end) {
  FindUnsent(activity);
  const IntervalSet unsent(std::move(activity.unsent));
  const bool outlasted = others_end > activity.end;
  const IntervalSet outlasting(outlasted ? std::vector<Interval>{{activity.end, others_end}} : std::vector<Interval>{});
  const IntervalSet communicating(std::move(activity.communicating));
  const IntervalSet waits(std::move(activity.waits));
  const IntervalSet transfers(std::move(activity.transfers));
  const IntervalSet collectives(std::move(activity.collectives));
  const IntervalSet computing(std::move(activity.computing));
  const IntervalSet optimizing(std::move(activity.optimizing));
  const IntervalSet occupied = Occupied(activity, computing);

  RankUse use;
  use.rank = rank;
  use.makespan = std::max(activity.summary.makespan, activity.end);  // others_end is at most that
  use.memory_bytes_peak = activity.summary.memory_bytes_peak;
  use.compute_busy = computing.Measure();
  use.communication_busy = communicating.Measure();
  use.idle = use.makespan - use.compute_busy;
  Breakdown& parts = use.breakdown;
  parts.optimizer = optimizing.Measure();
  parts.compute = use.compute_busy - parts.optimizer;
  const IntervalSet elsewhere = Union(transfers, unsent);  // not yet under way, unless also in `collectives`
  parts.exposed_communication = Difference(Union(collectives, Difference(waits, elsewhere)), occupied).Measure();
  parts.bubble = Difference(Union(Difference(elsewhere, collectives), outlasting), occupied).Measure();
  parts.host = use.makespan - use.compute_busy - parts.exposed_communication - parts.bubble;
  return use;
}

}  // namespace

std::vector<RankUse> UseByRank(const ir::Timeline& timeline) {
  std::map<int32_t, Activity> activities;
  for (const ir::RankSummary& summary : timeline.ranks) activities[summary.rank].summary = summary;
  Duration last;
  for (const TimelineEvent& event : timeline.events) {
    Add(event, timeline, activities[event.rank]);
    last = std::max(last, event.start + event.duration);
  }
  AddMessages(timeline, activities);
  const std::vector<std::vector<int32_t>> stages = ir::StagesOf(timeline);
  std::map<int32_t, int32_t> stage_of;
  for (size_t stage = 0; stage < stages.size(); ++stage) {
    for (int32_t rank : stages[stage]) stage_of[rank] = static_cast<int32_t>(stage);
  }
  std::vector<RankUse> uses;
  for (auto& [rank, activity] : activities) {
    // Behind its last op a rank waits for the other stages as long as they run and its own step lasts.
    const Duration others_end = stages.size() > 1 ? std::min(last, activity.summary.makespan) : Duration();
    uses.push_back(Measure(rank, std::move(activity), others_end));
    uses.back().stage = stage_of.contains(rank) ? stage_of.at(rank) : -1;
  }
  return uses;
}

}  // namespace helm::report
