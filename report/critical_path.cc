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
      if (const std::optional<Place> partner = PartnerToFollow(at, end)) {
        const Duration begun = std::max(EventAt(at).start, EventAt(*partner).start);
        Emit(at, begun, end);
        end = begun;
        at = *partner;
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
    for (const ir::Message& message : ir::MessagesOf(timeline_)) {
      partners_[message.send] = places[message.receive];
      partners_[message.receive] = places[message.send];
    }
  }

  // The other end of the message that ends here, where the path goes on. None: on the own rank. Following moves `end` back to a moment
  // before this event's end, so the walk never comes to this event again, and ends.
  std::optional<Place> PartnerToFollow(const Place& at, Duration end) const {
    const auto found = partners_.find(events_.at(at.rank)[at.position].index);
    if (found == partners_.end()) return std::nullopt;
    const Duration own = EventAt(at).start;
    const Duration other = EventAt(found->second).start;
    if (other < own || std::max(own, other) >= end) return std::nullopt;
    if (other > own) return found->second;
    const auto ready = [this](const Place& place) {
      const std::optional<size_t> cause = CauseOf(place);
      return cause ? EndOf(events_.at(place.rank)[*cause].event) : Duration();
    };
    return ready(found->second) > ready(at) ? std::optional<Place>(found->second) : std::nullopt;
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
  std::map<size_t, Place> partners_;              // of an event, by its index in the timeline: the other end of its message
  CriticalPath path_;
};

}  // namespace

CriticalPath TraceCriticalPath(const ir::Timeline& timeline) { return Walker(timeline).Walk(); }

}  // namespace helm::report
