#include "report/page_data.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "report/stage_table.h"

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

// The samples of a rank, all columns as differences; null when it has none.
ordered_json MemoryOfRank(const ir::Timeline& timeline, int32_t rank) {
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

// Of the rank with the highest peak, then of the rank with the highest peak of each stage (of the first ones: each has a curve's data).
ordered_json MemoryJson(const Summary& summary, const ir::Timeline& timeline) {
  constexpr int32_t kStagesDrawn = 16;
  std::map<int32_t, const RankUse*> highest;
  for (const RankUse& use : summary.ranks) {
    const RankUse*& so_far = highest[use.stage];
    if (so_far == nullptr || use.memory_bytes_peak > so_far->memory_bytes_peak) so_far = &use;
  }
  ordered_json curves = ordered_json::array();
  const auto add = [&](int32_t rank, int32_t stage) {
    ordered_json curve = MemoryOfRank(timeline, rank);
    if (curve.is_null()) return;
    curve["stage"] = stage;
    curves.push_back(std::move(curve));
  };
  for (const auto& [stage, use] : highest) {
    if (use->rank == summary.memory_rank) add(use->rank, stage);
  }
  for (const auto& [stage, use] : highest) {
    if (use->rank != summary.memory_rank && stage < kStagesDrawn) add(use->rank, stage);
  }
  return curves;
}

std::array<int64_t, 5> PartsOf(const Breakdown& parts) {
  return {parts.compute.nanoseconds(), parts.optimizer.nanoseconds(), parts.exposed_communication.nanoseconds(), parts.bubble.nanoseconds(),
          parts.host.nanoseconds()};
}

ordered_json PageRanksJson(const std::vector<RankUse>& uses) {
  ordered_json ranks = ordered_json::array();
  for (const RankUse& use : uses) {
    ranks.push_back({{"rank", use.rank},
                     {"stage", use.stage},
                     {"makespan", use.makespan.nanoseconds()},
                     {"breakdown", PartsOf(use.breakdown)},
                     {"memory_bytes_peak", use.memory_bytes_peak.count()}});
  }
  return ranks;
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
  for (const ir::Stream& stream : timeline.streams) streams.push_back({{"kind", ir::Name(stream.kind)}, {"name", stream.name}});
  std::vector<int64_t> steps;
  for (Duration step : summary.steps) steps.push_back(step.nanoseconds());
  return {{"title", summary.title},
          {"plan", summary.plan},
          {"device", summary.device},
          {"program_hash", summary.program_hash},
          {"stepTime", summary.step_time.nanoseconds()},
          {"makespan", summary.makespan.nanoseconds()},
          {"steps", steps},
          {"breakdown", PartsOf(summary.breakdown)},
          {"breakdown_rank", summary.breakdown_rank},
          {"ranks", PageRanksJson(summary.ranks)},
          {"sources", {summary.sources.measured, summary.sources.interpolated, summary.sources.analytic}},
          {"memory_bytes_peak", summary.memory_bytes_peak.count()},
          {"memory_at_peak", summary.memory_at_peak},
          {"critical_path", PathJson(summary.critical_path)},
          {"streams", std::move(streams)},
          {"ops", OpTableJson(timeline, strings)},
          {"lanes", LanesJson(timeline)},
          {"memories", MemoryJson(summary, timeline)}};
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

// Categories as [name, predicted, measured]; work as [category, label, target, phase, predicted, measured, predicted op, measured op], the
// ops those with the largest difference among it.
ordered_json AttributionJson(const Attribution& attribution, StringTable& strings) {
  constexpr size_t kWorkShown = 12;
  ordered_json categories = ordered_json::array();
  for (const AttributionRow& row : attribution.categories)
    categories.push_back({row.category, row.on_path.predicted.nanoseconds(), row.on_path.measured.nanoseconds()});
  ordered_json work = ordered_json::array();
  for (size_t i = 0; i < std::min(attribution.work.size(), kWorkShown); ++i) {
    const PathWorkRow& share = attribution.work[i];
    const auto& [label, target, phase] = share.row.work;
    const auto largest = std::ranges::find_if(attribution.ops, [&share](const AttributionRow& op) {
      return op.category == share.category && Work{op.what.label, op.what.target, op.what.phase} == share.row.work;
    });
    const Sides<ir::OpId> op = largest == attribution.ops.end() ? Sides<ir::OpId>() : largest->op;
    work.push_back({share.category, strings.IndexOf(label), strings.IndexOf(target), strings.IndexOf(phase),
                    share.row.duration.predicted.nanoseconds(), share.row.duration.measured.nanoseconds(), op.predicted.value,
                    op.measured.value});
  }
  return {{"difference", attribution.difference.nanoseconds()}, {"categories", std::move(categories)}, {"work", std::move(work)}};
}

// A stage on a side: [ranks, makespan, computing, exposed communication, bubble, peak bytes].
ordered_json PageStagesJson(const std::vector<Sides<StageUse>>& stages) {
  ordered_json rows = ordered_json::array();
  for (const auto& [predicted, measured] : stages) {
    ordered_json row = ordered_json::array();
    for (const StageUse* use : {&predicted, &measured}) {
      row.push_back({use->ranks, use->makespan.nanoseconds(), use->compute_busy.nanoseconds(), use->exposed_communication.nanoseconds(),
                     use->bubble.nanoseconds(), use->memory_bytes_peak.count()});
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

// [rank, its index in the predicted side's ranks, in the measured side's]; -1 where there is none.
ordered_json RankPairsJson(const Comparison& comparison) {
  const auto index_of = [](const std::optional<RankUse>& use, const std::vector<RankUse>& uses) {
    return use ? std::ranges::find(uses, use->rank, &RankUse::rank) - uses.begin() : -1;
  };
  ordered_json rows = ordered_json::array();
  for (const RankRow& row : comparison.ranks) {
    rows.push_back({row.rank, index_of(row.use.predicted, comparison.sides.predicted.ranks),
                    index_of(row.use.measured, comparison.sides.measured.ranks)});
  }
  return rows;
}

}  // namespace

ordered_json PageData(const Comparison& comparison, const ir::Timeline& predicted, const ir::Timeline& measured,
                      const HtmlOptions& options) {
  StringTable strings;
  ordered_json data;
  data["sides"] = {SideJson(comparison.sides.predicted, predicted, strings), SideJson(comparison.sides.measured, measured, strings)};
  data["rows"] = RowNumbers(comparison);
  data["attribution"] = AttributionJson(comparison.attribution, strings);
  data["stages"] = PageStagesJson(comparison.stages);
  data["ranks"] = RankPairsJson(comparison);
  data["rank_pairing"] = DescribeRankPairing(comparison);
  data["strings"] = strings.strings();
  data["roles"] = ordered_json::array();
  for (size_t role = 0; role < ir::kStorageRoles; ++role) data["roles"].push_back(ir::Name(static_cast<ir::StorageRole>(role)));
  data["matched_by_id"] = comparison.matched_by_id;
  data["foretells"] = comparison.foretells;
  data["memory_capacity"] = options.memory_capacity ? ordered_json(options.memory_capacity->count()) : ordered_json(nullptr);
  return data;
}

}  // namespace helm::report
