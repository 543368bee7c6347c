#include "report/hidden.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "core/text.h"

namespace helm::report {
namespace {

constexpr size_t kUnderMost = 3;  // computations named in a line

struct Sum {
  Duration total;
  std::map<std::string, Duration> under;
};

std::string NameOf(const ir::TimelineOp& op, bool with_target) {
  return fmt::format("{}{} {}", op.label, with_target ? " " + op.target : "", op.phase);
}

bool IsComputation(const ir::Timeline& timeline, const ir::TimelineEvent& event) {
  const ir::Stream::Kind stream = timeline.streams[static_cast<size_t>(event.stream)].kind;
  return stream == ir::Stream::Kind::kCompute && timeline.ops[event.op.index()].kind == Name(ir::OpKind::kCompute);
}

bool IsCommunication(const ir::Timeline& timeline, const ir::TimelineEvent& event) {
  return timeline.streams[static_cast<size_t>(event.stream)].kind == ir::Stream::Kind::kCommunication;
}

// The first rank's events of a kind, by start.
template <typename Is>
std::vector<ir::TimelineEvent> EventsOf(const ir::Timeline& timeline, const Is& is) {
  std::vector<ir::TimelineEvent> events;
  for (const ir::TimelineEvent& event : timeline.events) {
    if (event.rank == timeline.events.front().rank && is(timeline, event)) events.push_back(event);
  }
  std::ranges::stable_sort(events, {}, &ir::TimelineEvent::start);
  return events;
}

void AddBeside(const ir::Timeline& timeline, const ir::TimelineEvent& event, const std::vector<ir::TimelineEvent>& computing, Sum& sum) {
  const Duration end = event.start + event.duration;
  // On one stream they end in the order in which they start.
  const auto ends = [](const ir::TimelineEvent& e) { return e.start + e.duration; };
  for (auto beside = std::ranges::lower_bound(computing, event.start, {}, ends); beside != computing.end() && beside->start < end;
       ++beside) {
    const Duration common = std::min(end, ends(*beside)) - std::max(event.start, beside->start);
    if (common > Duration()) sum.under[NameOf(timeline.ops[beside->op.index()], false)] += common;
  }
}

}  // namespace

std::vector<HiddenRow> HiddenCommunication(const ir::Timeline& timeline) {
  std::vector<HiddenRow> rows;
  if (timeline.events.empty()) return rows;
  const std::vector<ir::TimelineEvent> computing = EventsOf(timeline, IsComputation);
  std::map<std::string, Sum> sums;
  for (const ir::TimelineEvent& event : EventsOf(timeline, IsCommunication)) {
    Sum& sum = sums[NameOf(timeline.ops[event.op.index()], true)];
    sum.total += event.duration;
    AddBeside(timeline, event, computing, sum);
  }
  for (const auto& [name, sum] : sums) {
    HiddenRow row{name, sum.total, {}, {sum.under.begin(), sum.under.end()}};
    for (const auto& [computation, time] : row.under) row.hidden += time;
    std::ranges::stable_sort(row.under, std::ranges::greater(), &std::pair<std::string, Duration>::second);
    rows.push_back(std::move(row));
  }
  std::ranges::stable_sort(rows, std::ranges::greater(), &HiddenRow::total);
  return rows;
}

std::string RenderHidden(const std::vector<HiddenRow>& rows, size_t rows_most) {
  std::string text;
  for (size_t i = 0; i < std::min(rows.size(), rows_most); ++i) {
    const HiddenRow& row = rows[i];
    const auto share = [&](Duration time) { return row.total > Duration() ? 100 * time.seconds() / row.total.seconds() : 0.0; };
    text += fmt::format("  {}: {}, {:.0f} % hidden", row.communication, FormatDuration(row.total), share(row.hidden));
    for (size_t u = 0; u < std::min(row.under.size(), kUnderMost); ++u) {
      text += fmt::format("{}{} {:.0f} %", u == 0 ? " under " : ", ", row.under[u].first, share(row.under[u].second));
    }
    text += "\n";
  }
  if (rows.size() > rows_most) text += fmt::format("  and {} more\n", rows.size() - rows_most);
  return text;
}

}  // namespace helm::report
