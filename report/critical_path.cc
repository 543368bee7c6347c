#include "report/critical_path.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "core/check.h"

namespace helm::report {
namespace {

using ir::Stream;
using ir::TimelineEvent;

Duration EndOf(const TimelineEvent& event) { return event.start + event.duration; }

class Walker {
 public:
  explicit Walker(const ir::Timeline& timeline) : timeline_(timeline) {}

  CriticalPath Walk() {
    CollectEvents();
    size_t position = events_.size() - 1;
    Duration end = EndOf(events_[position]);
    while (true) {
      const std::optional<size_t> cause = CauseOf(position);
      const Duration from = cause ? std::min(EndOf(events_[*cause]), end) : events_[position].start;
      if (IsWait(events_[position]) && cause) {
        Emit(position, from, end);  // what was left of the wait after its collective had ended
      } else {
        Emit(position, events_[position].start, end);
        EmitGap(from, events_[position].start);
      }
      end = from;
      if (!cause) break;
      position = *cause;
    }
    EmitGap(Duration(), end);
    std::ranges::reverse(path_.steps);
    return std::move(path_);
  }

 private:
  // The events of the rank that ends last, by end; among equal ends the one to prefer comes last.
  void CollectEvents() {
    const TimelineEvent* last = nullptr;
    for (const TimelineEvent& event : timeline_.events) {
      if (!last || EndOf(event) > EndOf(*last) || (EndOf(event) == EndOf(*last) && event.rank < last->rank)) last = &event;
    }
    HELM_CHECK(last != nullptr, "a critical path needs an event");
    path_.rank = last->rank;
    for (const TimelineEvent& event : timeline_.events) {
      if (event.rank == path_.rank) events_.push_back(event);
    }
    const auto key = [this](const TimelineEvent& event) {
      const Stream::Kind kind = KindOf(event);
      const int preference = kind == Stream::Kind::kCompute ? 2 : kind == Stream::Kind::kCommunication ? 1 : 0;
      return std::tuple(EndOf(event), event.start, preference, event.op, event.stream);
    };
    std::ranges::sort(events_, {}, key);
  }

  // Always an earlier position than `position`, so the walk ends.
  std::optional<size_t> CauseOf(size_t position) const {
    const TimelineEvent& event = events_[position];
    if (IsWait(event)) {
      if (const auto collective = CollectiveEndedIn(position)) return collective;
    }
    for (size_t i = position; i-- > 0;) {
      const TimelineEvent& before = events_[i];
      const bool later_launch = KindOf(before) == Stream::Kind::kHost && before.op > event.op;
      if (EndOf(before) <= event.start && !later_launch) return i;
    }
    return std::nullopt;
  }

  std::optional<size_t> CollectiveEndedIn(size_t position) const {
    const TimelineEvent& wait = events_[position];
    for (size_t i = position; i-- > 0 && EndOf(events_[i]) > wait.start;) {
      if (KindOf(events_[i]) == Stream::Kind::kCommunication && events_[i].op < wait.op) return i;
    }
    return std::nullopt;
  }

  void Emit(size_t position, Duration start, Duration end) {
    if (start >= end) return;
    const TimelineEvent& event = events_[position];
    path_.steps.push_back({event.op, event.stream, start, end});
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

  void EmitGap(Duration start, Duration end) {
    if (start >= end) return;
    path_.steps.push_back({ir::OpId(), -1, start, end});
    path_.host += end - start;
  }

  Stream::Kind KindOf(const TimelineEvent& event) const { return timeline_.streams[static_cast<size_t>(event.stream)].kind; }
  bool IsWait(const TimelineEvent& event) const { return timeline_.ops[event.op.index()].kind == "wait"; }

  const ir::Timeline& timeline_;
  std::vector<TimelineEvent> events_;
  CriticalPath path_;
};

}  // namespace

CriticalPath TraceCriticalPath(const ir::Timeline& timeline) { return Walker(timeline).Walk(); }

}  // namespace helm::report
