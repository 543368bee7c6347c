#include "report/critical_path.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "core/check.h"
#include "ir/timeline_ranks.h"

namespace helm::report {
namespace {

using ir::Stream;
using ir::TimelineEvent;

Duration EndOf(const TimelineEvent& event) { return event.start + event.duration; }

// An event of a rank.
struct Place {
  size_t position = 0;  // in events_ of `rank`
  int32_t rank = 0;
};

class Walker {
 public:
  explicit Walker(const ir::Timeline& timeline) : timeline_(timeline) {}

  CriticalPath Walk() {
    CollectEvents();
    path_.rank = LastRank();
    Place at{events_.at(path_.rank).size() - 1, path_.rank};
    Duration end = EndOf(EventAt(at));
    while (true) {
      if (const std::optional<Place> member = MemberToFollow(at, end)) {
        Emit(at, EventAt(*member).start, end);
        end = EventAt(*member).start;
        at = *member;
        continue;
      }
      const std::optional<size_t> cause = CauseOf(at);
      const Duration from = cause ? std::min(EndOf(events_.at(at.rank)[*cause].event), end) : std::min(EventAt(at).start, end);
      if (IsWait(EventAt(at)) && cause) {
        Emit(at, from, end);  // what was left of the wait after its collective had ended
      } else {
        Emit(at, EventAt(at).start, end);
        EmitGap(at.rank, from, std::min(EventAt(at).start, end));
      }
      end = from;
      if (!cause) break;
      at.position = *cause;
    }
    EmitGap(at.rank, Duration(), end);
    std::ranges::reverse(path_.steps);
    return std::move(path_);
  }

 private:
  int32_t LastRank() const {
    const auto last = std::ranges::max_element(events_, {}, [](const auto& entry) { return EndOf(entry.second.back().event); });
    HELM_CHECK(last != events_.end(), "a critical path needs an event");
    return last->first;
  }

  struct Entry {
    TimelineEvent event;
    size_t index = 0;  // into Timeline::events
  };

  // The events of each rank, by end; among equal ends the one to prefer comes last.
  void CollectEvents() {
    for (size_t i = 0; i < timeline_.events.size(); ++i) events_[timeline_.events[i].rank].push_back({timeline_.events[i], i});
    const auto key = [this](const Entry& entry) {
      const TimelineEvent& event = entry.event;
      const Stream::Kind kind = KindOf(event);
      const int preference = kind == Stream::Kind::kCompute ? 2 : kind == Stream::Kind::kCommunication ? 1 : 0;
      return std::tuple(EndOf(event), event.start, preference, event.op, event.stream);
    };
    for (auto& [rank, entries] : events_) std::ranges::sort(entries, {}, key);
    std::vector<Place> places(timeline_.events.size());
    for (const auto& [rank, entries] : events_) {
      for (size_t position = 0; position < entries.size(); ++position) places[entries[position].index] = {position, rank};
    }
    const auto meet = [&](const std::vector<size_t>& members) {
      for (size_t member : members) meeting_of_[member] = meetings_.size();
      meetings_.emplace_back();
      for (size_t member : members) meetings_.back().push_back(places[member]);
    };
    for (const ir::Message& message : ir::MessagesOf(timeline_)) meet({message.send, message.receive});
    for (const std::vector<size_t>& members : ir::CollectivesOf(timeline_)) meet(members);
  }

  // Of those that meet in the message or collective that ends here, the one at which the path goes on; none: on the own rank. Following
  // moves `end` back to a moment before this event's end, so the walk never comes to this event again, and ends.
  std::optional<Place> MemberToFollow(const Place& at, Duration end) const {
    const auto found = meeting_of_.find(events_.at(at.rank)[at.position].index);
    if (found == meeting_of_.end()) return std::nullopt;
    const std::vector<Place>& members = meetings_[found->second];
    const auto start_of = [this](const Place& place) { return EventAt(place).start; };
    const Duration begun = start_of(*std::ranges::max_element(members, {}, start_of));
    if (begun >= end) return std::nullopt;
    std::optional<Place> last = start_of(at) == begun ? std::optional(at) : std::nullopt;
    for (const Place& member : members) {
      if (start_of(member) == begun && (!last || ReadyAt(member) > ReadyAt(*last))) last = member;
    }
    return last->rank == at.rank ? std::nullopt : last;
  }

  // When what an event hung on had ended.
  Duration ReadyAt(const Place& place) const {
    const std::optional<size_t> cause = CauseOf(place);
    return cause ? EndOf(events_.at(place.rank)[*cause].event) : Duration();
  }

  // Always an earlier position than `at`, so the walk ends.
  std::optional<size_t> CauseOf(const Place& at) const {
    const std::vector<Entry>& events = events_.at(at.rank);
    const TimelineEvent& event = EventAt(at);
    if (IsWait(event)) {
      if (const auto collective = CollectiveEndedIn(at)) return collective;
    }
    for (size_t i = at.position; i-- > 0;) {
      const TimelineEvent& before = events[i].event;
      const bool later_launch = KindOf(before) == Stream::Kind::kHost && before.op > event.op;
      if (EndOf(before) <= event.start && !later_launch) return i;
    }
    return std::nullopt;
  }

  std::optional<size_t> CollectiveEndedIn(const Place& at) const {
    const std::vector<Entry>& events = events_.at(at.rank);
    const TimelineEvent& wait = EventAt(at);
    for (size_t i = at.position; i-- > 0 && EndOf(events[i].event) > wait.start;) {
      if (KindOf(events[i].event) == Stream::Kind::kCommunication && events[i].event.op < wait.op) return i;
    }
    return std::nullopt;
  }

  void Emit(const Place& at, Duration start, Duration end) {
    if (start >= end) return;
    const TimelineEvent& event = EventAt(at);
    path_.steps.push_back({event.op, event.stream, start, end, event.rank});
    const Stream::Kind kind = KindOf(event);
    const std::string& op_kind = timeline_.ops[event.op.index()].kind;
    if (kind == Stream::Kind::kCommunication || op_kind == "wait") {
      path_.communication += end - start;
    } else if (kind == Stream::Kind::kCompute && op_kind == "compute") {
      path_.compute += end - start;
    } else {
      path_.host += end - start;
    }
  }

  void EmitGap(int32_t rank, Duration start, Duration end) {
    if (start >= end) return;
    path_.steps.push_back({ir::OpId(), -1, start, end, rank});
    path_.host += end - start;
  }

  const TimelineEvent& EventAt(const Place& at) const { return events_.at(at.rank)[at.position].event; }
  Stream::Kind KindOf(const TimelineEvent& event) const { return timeline_.streams[static_cast<size_t>(event.stream)].kind; }
  bool IsWait(const TimelineEvent& event) const { return timeline_.ops[event.op.index()].kind == "wait"; }

  const ir::Timeline& timeline_;
  std::map<int32_t, std::vector<Entry>> events_;  // by rank
  std::vector<std::vector<Place>> meetings_;      // both ends of a message, the members of a collective
  std::map<size_t, size_t> meeting_of_;           // by index of an event in the timeline
  CriticalPath path_;
};

}  // namespace

CriticalPath TraceCriticalPath(const ir::Timeline& timeline) { return Walker(timeline).Walk(); }

}  // namespace helm::report
