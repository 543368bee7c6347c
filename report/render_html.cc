// The page's data (docs/formats/compare.md, "the report's data"): compact JSON, times in whole nanoseconds, starts as differences.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "core/check.h"
#include "report/compare.h"
#include "report/html_assets.h"

namespace helm::report {
namespace {

using nlohmann::ordered_json;

// Strings of the op tables, each once.
class StringTable {
 public:
  int64_t IndexOf(const std::string& text) {
    const auto [entry, added] = index_.try_emplace(text, static_cast<int64_t>(strings_.size()));
    if (added) strings_.push_back(text);
    return entry->second;
  }
  const std::vector<std::string>& strings() const { return strings_; }

 private:
  std::map<std::string, int64_t> index_;
  std::vector<std::string> strings_;
};

std::string_view KindName(ir::Stream::Kind kind) {
  switch (kind) {
    case ir::Stream::Kind::kHost:
      return "host";
    case ir::Stream::Kind::kCompute:
      return "compute";
    case ir::Stream::Kind::kCommunication:
      return "communication";
  }
  return "";
}

ordered_json OpTableJson(const ir::Timeline& timeline, StringTable& strings) {
  ordered_json table;
  for (const char* column : {"target", "label", "kind", "phase", "source", "layer", "micro_batch"}) table[column] = ordered_json::array();
  for (const ir::TimelineOp& op : timeline.ops) {
    table["target"].push_back(strings.IndexOf(op.target));
    table["label"].push_back(strings.IndexOf(op.label));
    table["kind"].push_back(strings.IndexOf(op.kind));
    table["phase"].push_back(strings.IndexOf(op.phase));
    table["source"].push_back(strings.IndexOf(op.source));
    table["layer"].push_back(op.layer);
    table["micro_batch"].push_back(op.micro_batch);
  }
  return table;
}

struct Lane {
  std::vector<int32_t> op;
  std::vector<int64_t> start;  // differences
  std::vector<int64_t> duration;
  int64_t previous = 0;
};

// One lane per rank and stream with events: ranks ascending; in a rank compute first, then communication, then the host.
ordered_json LanesJson(const ir::Timeline& timeline) {
  const auto order = [&](int32_t stream) {
    const ir::Stream::Kind kind = timeline.streams[static_cast<size_t>(stream)].kind;
    return kind == ir::Stream::Kind::kCompute ? 0 : kind == ir::Stream::Kind::kCommunication ? 1 : 2;
  };
  std::vector<const ir::TimelineEvent*> events;
  for (const ir::TimelineEvent& event : timeline.events) events.push_back(&event);
  std::ranges::stable_sort(events, {}, [](const ir::TimelineEvent* event) { return event->start; });
  std::map<std::tuple<int32_t, int, int32_t>, Lane> lanes;
  for (const ir::TimelineEvent* event : events) {
    Lane& lane = lanes[{event->rank, order(event->stream), event->stream}];
    const int64_t start = event->start.nanoseconds();
    lane.op.push_back(event->op.value);
    lane.start.push_back(start - std::exchange(lane.previous, start));
    lane.duration.push_back((event->start + event->duration).nanoseconds() - start);
  }
  ordered_json array = ordered_json::array();
  for (const auto& [key, lane] : lanes) {
    array.push_back(
        {{"rank", std::get<0>(key)}, {"stream", std::get<2>(key)}, {"op", lane.op}, {"start", lane.start}, {"duration", lane.duration}});
  }
  return array;
}

// The samples of the rank with the highest peak, all columns as differences; null when it has none.
ordered_json MemoryJson(const ir::Timeline& timeline, int32_t rank) {
  std::vector<int32_t> op;
  std::vector<int64_t> time;
  std::array<std::vector<int64_t>, ir::kStorageRoles> roles;
  int64_t previous_time = 0;
  std::array<int64_t, ir::kStorageRoles> previous{};
  for (const ir::MemorySample& sample : timeline.memory) {
    if (sample.rank != rank) continue;
    op.push_back(sample.op.value);
    time.push_back(sample.time.nanoseconds() - std::exchange(previous_time, sample.time.nanoseconds()));
    for (size_t role = 0; role < ir::kStorageRoles; ++role) {
      roles[role].push_back(sample.bytes[role] - std::exchange(previous[role], sample.bytes[role]));
    }
  }
  if (op.empty()) return nullptr;
  return {{"rank", rank}, {"op", op}, {"time", time}, {"roles", roles}};
}

ordered_json PathJson(const CriticalPath& path) {
  std::vector<int64_t> steps;
  for (const PathStep& step : path.steps) {
    steps.insert(steps.end(), {step.op.value, step.rank, step.stream, step.start.nanoseconds(), step.end.nanoseconds()});
  }
  return {{"rank", path.rank},
          {"time", {path.compute.nanoseconds(), path.communication.nanoseconds(), path.host.nanoseconds()}},
          {"steps", steps}};
}

ordered_json SideJson(const Summary& summary, const ir::Timeline& timeline, StringTable& strings) {
  ordered_json streams = ordered_json::array();
  for (const ir::Stream& stream : timeline.streams) streams.push_back({{"kind", KindName(stream.kind)}, {"name", stream.name}});
  std::vector<int64_t> steps;
  for (Duration step : summary.steps) steps.push_back(step.nanoseconds());
  const Breakdown& parts = summary.breakdown;
  return {{"title", summary.title},
          {"plan", summary.plan},
          {"device", summary.device},
          {"program_hash", summary.program_hash},
          {"makespan", summary.makespan.nanoseconds()},
          {"steps", steps},
          {"breakdown",
           {parts.compute.nanoseconds(), parts.optimizer.nanoseconds(), parts.exposed_communication.nanoseconds(),
            parts.bubble.nanoseconds(), parts.host.nanoseconds()}},
          {"sources", {summary.sources.measured, summary.sources.interpolated, summary.sources.analytic}},
          {"memory_bytes_peak", summary.memory_bytes_peak.count()},
          {"memory_at_peak", summary.memory_at_peak},
          {"critical_path", PathJson(summary.critical_path)},
          {"streams", std::move(streams)},
          {"ops", OpTableJson(timeline, strings)},
          {"lanes", LanesJson(timeline)},
          {"memory", MemoryJson(timeline, summary.memory_rank)}};
}

// Six numbers a row: op ids, then start and duration on each side (-1 where the op is not in that timeline).
std::vector<int64_t> RowNumbers(const Comparison& comparison) {
  std::vector<int64_t> numbers;
  for (const std::vector<OpRow>* rows : {&comparison.rows, &comparison.predicted_only, &comparison.measured_only}) {
    for (const OpRow& row : *rows) {
      const auto time = [](ir::OpId op, Duration duration) { return op.valid() ? duration.nanoseconds() : -1; };
      numbers.insert(numbers.end(), {row.op.predicted.value, row.op.measured.value, time(row.op.predicted, row.start.predicted),
                                     time(row.op.predicted, row.duration.predicted), time(row.op.measured, row.start.measured),
                                     time(row.op.measured, row.duration.measured)});
    }
  }
  return numbers;
}

ordered_json PageData(const Comparison& comparison, const ir::Timeline& predicted, const ir::Timeline& measured,
                      const HtmlOptions& options) {
  StringTable strings;
  ordered_json data;
  data["sides"] = {SideJson(comparison.sides.predicted, predicted, strings), SideJson(comparison.sides.measured, measured, strings)};
  data["rows"] = RowNumbers(comparison);
  data["strings"] = strings.strings();
  data["roles"] = ordered_json::array();
  for (size_t role = 0; role < ir::kStorageRoles; ++role) data["roles"].push_back(ir::Name(static_cast<ir::StorageRole>(role)));
  data["matched_by_id"] = comparison.matched_by_id;
  data["memory_capacity"] = options.memory_capacity ? ordered_json(options.memory_capacity->count()) : ordered_json(nullptr);
  return data;
}

// JSON that can stand in a <script> element: no '<' can end it and no '&' can be taken for an entity. Such characters occur only inside
// strings.
std::string EscapedForScript(const ordered_json& data) {
  const std::string json = data.dump(-1, ' ', /*ensure_ascii=*/true, ordered_json::error_handler_t::replace);
  std::string escaped;
  escaped.reserve(json.size());
  for (char c : json) {
    if (c == '<' || c == '>' || c == '&')
      escaped += fmt::format("\\u{:04x}", static_cast<int>(c));
    else
      escaped += c;
  }
  return escaped;
}

std::string EscapedForText(const std::string& text) {
  std::string escaped;
  for (char c : text) {
    if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else if (c == '&')
      escaped += "&amp;";
    else
      escaped += c;
  }
  return escaped;
}

}  // namespace

std::string RenderHtml(const Comparison& comparison, const ir::Timeline& predicted, const ir::Timeline& measured,
                       const HtmlOptions& options) {
  const std::pair<std::string_view, std::string> parts[] = {
      {"@HELM_TITLE@", EscapedForText(fmt::format("HELM: {} against {}", predicted.title, measured.title))},
      {"@HELM_STYLE@", std::string(HtmlStyle())},
      {"@HELM_DATA@", EscapedForScript(PageData(comparison, predicted, measured, options))},
      {"@HELM_SCRIPT@", std::string(HtmlScript())},
  };
  // In the order of the template, so that a mark inside an inserted part is not taken for one of the template.
  std::string page;
  std::string_view rest = HtmlTemplate();
  for (const auto& [mark, text] : parts) {
    const size_t at = rest.find(mark);
    HELM_CHECK(at != std::string_view::npos, "the template lacks a mark, or has them in another order");
    page += rest.substr(0, at);
    page += text;
    rest.remove_prefix(at + mark.size());
  }
  page += rest;
  return page;
}

}  // namespace helm::report
