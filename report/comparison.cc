#include "report/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "ir/timeline_ranks.h"
#include "report/attribution.h"
#include "report/breakdown.h"
#include "report/compare.h"
#include "report/critical_path.h"
#include "report/lower_median.h"
#include "report/match.h"
#include "report/stage_table.h"
#include "report/sums.h"

namespace helm::report {
namespace {

using ir::OpId;
using ir::Stream;
using ir::Timeline;

template <typename Number>
std::optional<double> RelativeErrorOf(Number predicted, Number measured) {
  if (measured == 0) return std::nullopt;
  return static_cast<double>(predicted - measured) / static_cast<double>(measured);
}

Status CheckIndices(const Timeline& timeline) {
  if (timeline.events.empty()) return InvalidError(fmt::format("error: timeline '{}' has no events: nothing to compare", timeline.title));
  for (size_t i = 0; i < timeline.events.size(); ++i) {
    const ir::TimelineEvent& event = timeline.events[i];
    const bool stream_exists = event.stream >= 0 && static_cast<size_t>(event.stream) < timeline.streams.size();
    if (!stream_exists || !event.op.valid() || event.op.index() >= timeline.ops.size()) {
      return InvalidError(fmt::format("error: timeline '{}': event {} names op {} of {} and stream {} of {}", timeline.title, i,
                                      event.op.value, timeline.ops.size(), event.stream, timeline.streams.size()));
    }
  }
  return OkStatus();
}

// The median; of an even number of values the mean of the middle two, rounded down. REQUIRES: not empty.
Duration Median(std::vector<Duration> values) {
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return Duration::Picoseconds((values[middle - 1].picoseconds() + values[middle].picoseconds()) / 2);
}

struct OpTime {
  Duration start;
  Duration duration;
  bool operator==(const OpTime&) const = default;
};

// When each event's work began: a message's when both ends had begun, a collective's when all members had, everything else's at its start.
std::vector<Duration> WorkStarts(const Timeline& timeline) {
  std::vector<Duration> starts;
  for (const ir::TimelineEvent& event : timeline.events) starts.push_back(event.start);
  const auto meet = [&](const std::vector<size_t>& members) {
    Duration last;
    for (size_t member : members) last = std::max(last, timeline.events[member].start);
    for (size_t member : members) starts[member] = std::min(last, timeline.events[member].start + timeline.events[member].duration);
  };
  for (const ir::Message& message : ir::MessagesOf(timeline)) meet({message.send, message.receive});
  for (const std::vector<size_t>& members : ir::CollectivesOf(timeline)) meet(members);
  return starts;
}

// Time of each op: on each rank the events on the stream where its work is (a collective's launch on the host is not the collective), then
// the median over the ranks that ran it. Index = op; ops without an event take no time.
std::vector<OpTime> OpTimes(const Timeline& timeline) {
  struct OnRank {
    int work = -1;  // the kind of stream that counts so far, as WorkRank orders them
    OpTime time;
  };
  const auto work_rank = [&](int32_t stream) {
    const Stream::Kind kind = timeline.streams[static_cast<size_t>(stream)].kind;
    return kind == Stream::Kind::kCommunication ? 2 : kind == Stream::Kind::kCompute ? 1 : 0;
  };
  const std::vector<Duration> work_starts = WorkStarts(timeline);
  std::vector<std::map<int32_t, OnRank>> by_op(timeline.ops.size());
  for (size_t i = 0; i < timeline.events.size(); ++i) {
    const ir::TimelineEvent& event = timeline.events[i];
    OnRank& on_rank = by_op[event.op.index()][event.rank];
    const int work = work_rank(event.stream);
    const OpTime time{work_starts[i], event.start + event.duration - work_starts[i]};
    if (work > on_rank.work)
      on_rank = {work, time};
    else if (work == on_rank.work)
      on_rank.time = {std::min(on_rank.time.start, time.start), on_rank.time.duration + time.duration};
  }
  std::vector<OpTime> times(timeline.ops.size());
  for (size_t i = 0; i < by_op.size(); ++i) {
    std::vector<Duration> starts, durations;
    for (const auto& [rank, on_rank] : by_op[i]) {
      starts.push_back(on_rank.time.start);
      durations.push_back(on_rank.time.duration);
    }
    if (!starts.empty()) times[i] = {Median(std::move(starts)), Median(std::move(durations))};
  }
  return times;
}

SourceShares SharesOf(const Timeline& timeline, const std::vector<OpTime>& times) {
  std::map<std::string, Duration> by_source;
  for (size_t i = 0; i < times.size(); ++i) {
    if (timeline.ops[i].kind != "wait") by_source[timeline.ops[i].source] += times[i].duration;  // a wait has no price of its own
  }
  Duration sum;
  for (const auto& [source, duration] : by_source) sum += duration;
  if (sum == Duration()) return {};
  const auto share = [&](const char* source) {
    return static_cast<double>(by_source[source].picoseconds()) / static_cast<double>(sum.picoseconds());
  };
  return {share("measured"), share("interpolated"), share("analytic")};
}

void SummarizeMemory(const Timeline& timeline, Summary& summary) {
  for (const ir::RankSummary& rank : timeline.ranks) {
    if (rank.memory_bytes_peak > summary.memory_bytes_peak) {
      summary.memory_bytes_peak = rank.memory_bytes_peak;
      summary.memory_bytes_reserved = rank.memory_bytes_reserved;
      summary.memory_bytes_outside = rank.memory_bytes_outside;
      summary.memory_rank = rank.rank;
    }
  }
  int64_t largest = 0;
  for (const ir::MemorySample& sample : timeline.memory) {
    if (sample.rank != summary.memory_rank) continue;
    int64_t total = 0;
    for (int64_t bytes : sample.bytes) total += bytes;
    if (total > largest) {
      largest = total;
      summary.memory_at_peak = sample.bytes;
    }
  }
}

Summary Summarize(const Timeline& timeline, const std::vector<OpTime>& times) {
  Summary summary;
  summary.title = timeline.title;
  summary.plan = timeline.plan;
  summary.device = timeline.device;
  summary.program_hash = timeline.program_hash;
  summary.makespan = timeline.makespan;
  summary.steps = timeline.steps;
  summary.step_time = timeline.steps.empty() ? timeline.makespan : LowerMedian(timeline.steps);
  SummarizeMemory(timeline, summary);
  summary.ranks = UseByRank(timeline);
  summary.sources = SharesOf(timeline, times);
  summary.critical_path = TraceCriticalPath(timeline);
  return summary;
}

const RankUse& MedianRank(const std::vector<RankUse>& ranks) {
  std::vector<const RankUse*> by_makespan;
  for (const RankUse& use : ranks) by_makespan.push_back(&use);
  std::ranges::stable_sort(by_makespan, {}, &RankUse::makespan);
  return *by_makespan[(by_makespan.size() - 1) / 2];
}

// The breakdowns of one rank on both sides: ranks of two stages would have nothing to say about each other.
void ChooseBreakdowns(Comparison& comparison) {
  auto& [predicted, measured] = comparison.sides;
  const RankUse& of_measured = MedianRank(measured.ranks);
  const RankUse* of_predicted = &MedianRank(predicted.ranks);
  for (const RankRow& row : comparison.ranks) {
    if (row.rank == of_measured.rank && row.use.predicted) of_predicted = &*row.use.predicted;
  }
  predicted.breakdown = of_predicted->breakdown;
  predicted.breakdown_rank = of_predicted->rank;
  measured.breakdown = of_measured.breakdown;
  measured.breakdown_rank = of_measured.rank;
}

std::vector<OpRow> OneSided(const std::vector<OpId>& ops, const Timeline& timeline, const std::vector<OpTime>& times, bool predicted) {
  std::vector<OpRow> rows;
  for (OpId op : ops) {
    OpRow row;
    row.what = timeline.ops[op.index()];
    const OpTime& time = times[op.index()];
    (predicted ? row.op.predicted : row.op.measured) = op;
    (predicted ? row.start.predicted : row.start.measured) = time.start;
    (predicted ? row.duration.predicted : row.duration.measured) = time.duration;
    rows.push_back(std::move(row));
  }
  return rows;
}

void FillRows(const Match& match, const Sides<const Timeline*>& timelines, const Sides<std::vector<OpTime>>& times,
              Comparison& comparison) {
  comparison.matched_by_id = match.by_id;
  for (const Sides<OpId>& pair : match.pairs) {
    const OpTime& predicted = times.predicted[pair.predicted.index()];
    const OpTime& measured = times.measured[pair.measured.index()];
    if (predicted.duration == Duration() && measured.duration == Duration()) continue;
    comparison.rows.push_back({pair,
                               timelines.predicted->ops[pair.predicted.index()],
                               {predicted.start, measured.start},
                               {predicted.duration, measured.duration}});
  }
  comparison.predicted_only = OneSided(match.predicted_only, *timelines.predicted, times.predicted, true);
  comparison.measured_only = OneSided(match.measured_only, *timelines.measured, times.measured, false);
}

}  // namespace

std::optional<double> RelativeError(Duration predicted, Duration measured) {
  return RelativeErrorOf(predicted.picoseconds(), measured.picoseconds());
}

std::optional<double> RelativeError(Bytes predicted, Bytes measured) { return RelativeErrorOf(predicted.count(), measured.count()); }

Result<Comparison> Compare(const Timeline& predicted, const Timeline& measured) {
  HELM_RETURN_IF_ERROR(CheckIndices(predicted));
  HELM_RETURN_IF_ERROR(CheckIndices(measured));
  HELM_ASSIGN_OR_RETURN(const Match match, MatchOps(predicted, measured));
  const Sides<std::vector<OpTime>> times{OpTimes(predicted), OpTimes(measured)};
  Comparison comparison;
  comparison.sides = {Summarize(predicted, times.predicted), Summarize(measured, times.measured)};
  comparison.foretells = match.by_id && predicted.title != measured.title;
  auto& [predicted_side, measured_side] = comparison.sides;
  std::tie(predicted_side.title, measured_side.title) = ir::TitlesApart(predicted, measured);
  comparison.step_time_error = RelativeError(predicted_side.step_time, measured_side.step_time);
  comparison.peak_memory_error = RelativeError(predicted_side.memory_bytes_peak, measured_side.memory_bytes_peak);
  comparison.attribution = Attribute({&predicted, &measured}, {&predicted_side.critical_path, &measured_side.critical_path}, match);
  comparison.stages = StageTable(predicted_side.ranks, measured_side.ranks);
  comparison.ranks = RankTable(predicted_side.ranks, measured_side.ranks);
  ChooseBreakdowns(comparison);
  FillRows(match, {&predicted, &measured}, times, comparison);
  SumUp(comparison);
  return comparison;
}

}  // namespace helm::report
