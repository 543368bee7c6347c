#include "formats/track_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <tuple>

namespace helm::formats {

using ir::TimelineEvent;

Result<std::vector<size_t>> TrackOrder(const ir::Timeline& timeline) {
  if (timeline.events.empty()) return InvalidError(fmt::format("error: timeline '{}' has no events", timeline.title));
  std::vector<size_t> order(timeline.events.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) {
    const TimelineEvent& event = timeline.events[i];
    return std::tuple(event.rank, event.stream, event.start, event.start + event.duration);
  });
  for (size_t k = 1; k < order.size(); ++k) {
    const TimelineEvent& a = timeline.events[order[k - 1]];
    const TimelineEvent& b = timeline.events[order[k]];
    if (a.rank == b.rank && a.stream == b.stream && b.start < a.start + a.duration) {
      return InvalidError(fmt::format("error: timeline '{}': ops {} and {} overlap on rank {}, stream '{}'", timeline.title, a.op.value,
                                      b.op.value, a.rank, timeline.streams[static_cast<size_t>(a.stream)].name));
    }
  }
  return order;
}

}  // namespace helm::formats
