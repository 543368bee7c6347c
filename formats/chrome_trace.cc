#include "formats/chrome_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "core/file.h"
#include "formats/track_order.h"

namespace helm::formats {
namespace {

using ir::Stream;
using ir::Timeline;
using ir::TimelineEvent;

// The thread of launches and host work of a rank; its streams follow.
constexpr int32_t kHostThread = 0;
int32_t ThreadOf(int32_t stream) { return stream + 1; }

std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

// Chrome's unit is the microsecond; three decimals keep nanoseconds.
std::string Microseconds(int64_t nanoseconds) { return fmt::format("{}.{:03}", nanoseconds / 1000, nanoseconds % 1000); }

// The name of NCCL's kernel for a collective: HTA knows communication by it (`^nccl.*`).
std::string KernelName(std::string_view target) {
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {{"c10d.all_reduce", "ncclDevKernel_AllReduce"},
                                                                             {"c10d.all_gather", "ncclDevKernel_AllGather"},
                                                                             {"c10d.reduce_scatter", "ncclDevKernel_ReduceScatter"},
                                                                             {"c10d.all_to_all", "ncclDevKernel_SendRecv"},
                                                                             {"c10d.broadcast", "ncclDevKernel_Broadcast"},
                                                                             {"c10d.send", "ncclDevKernel_SendRecv"},
                                                                             {"c10d.recv", "ncclDevKernel_SendRecv"}};
  for (const auto& [collective, kernel] : kNames) {
    if (collective == target) return std::string(kernel);
  }
  return "ncclDevKernel_" + std::string(target.substr(target.find('.') + 1));
}

class ChromeWriter {
 public:
  // `order`: TrackOrder(timeline).
  ChromeWriter(const Timeline& timeline, const std::vector<size_t>& order, const ChromeTraceOptions& options)
      : timeline_(timeline), order_(order), options_(options) {}

  Result<std::string> Write() {
    HELM_RETURN_IF_ERROR(CollectEvents());
    std::set<int32_t> all_ranks;
    for (const TimelineEvent& event : timeline_.events) all_ranks.insert(event.rank);
    // First in the file: HTA takes the first `"rank": N` that it finds, and wants the space after the colon.
    text_ = fmt::format(
        "{{\n\"schemaVersion\": 1,\n\"distributedInfo\": {{\"backend\": \"nccl\", \"rank\": {}, \"world_size\": "
        "{}}},\n\"displayTimeUnit\": \"ms\",\n"
        "\"baseTimeNanoseconds\": 0,\n\"helm\": {{\"title\": {}, \"plan\": {}, \"device\": {}, \"program_hash\": {}}},\n\"traceEvents\": [",
        events_.front().rank, all_ranks.size(), Quoted(timeline_.title), Quoted(timeline_.plan), Quoted(timeline_.device),
        Quoted(timeline_.program_hash));
    WriteNames();
    WriteSteps();
    for (size_t i = 0; i < events_.size(); ++i) WriteEvent(i);
    WriteMemory();
    return text_ + "\n]\n}\n";
  }

 private:
  bool Wanted(int32_t rank) const { return !options_.rank || *options_.rank == rank; }

  Status CollectEvents() {
    for (size_t i : order_) {
      if (Wanted(timeline_.events[i].rank)) events_.push_back(timeline_.events[i]);
    }
    if (events_.empty()) return InvalidError(fmt::format("error: timeline '{}' has no event of rank {}", timeline_.title, *options_.rank));
    for (const TimelineEvent& event : events_) {
      if (StreamOf(event).kind == Stream::Kind::kHost) launched_on_host_.insert({event.rank, event.op});
    }
    return OkStatus();
  }

  void Line(std::string_view line) {
    text_ += first_ ? "\n" : ",\n";
    text_ += line;
    first_ = false;
  }

  void Metadata(std::string_view what, int32_t rank, int32_t thread, std::string_view value) {
    Line(fmt::format(R"({{"ph": "M", "name": "{}", "pid": {}, "tid": {}, "args": {{{}}}}})", what, rank, thread, value));
  }

  void WriteNames() {
    std::map<int32_t, std::set<int32_t>> streams;
    for (const TimelineEvent& event : events_) streams[event.rank].insert(event.stream);
    for (const auto& [rank, used] : streams) {
      Metadata("process_name", rank, kHostThread, fmt::format("\"name\": {}", Quoted(fmt::format("rank {} {}", rank, timeline_.title))));
      Metadata("process_sort_index", rank, kHostThread, fmt::format("\"sort_index\": {}", rank));
      Metadata("thread_name", rank, kHostThread, "\"name\": \"launches\"");
      Metadata("thread_sort_index", rank, kHostThread, "\"sort_index\": 0");
      for (int32_t stream : used) {
        if (timeline_.streams[static_cast<size_t>(stream)].kind == Stream::Kind::kHost) continue;
        Metadata("thread_name", rank, ThreadOf(stream),
                 fmt::format("\"name\": {}", Quoted(timeline_.streams[static_cast<size_t>(stream)].name)));
        Metadata("thread_sort_index", rank, ThreadOf(stream), fmt::format("\"sort_index\": {}", ThreadOf(stream)));
      }
    }
  }

  // HTA cuts a trace into steps at these; each covers all events of its rank.
  void WriteSteps() {
    std::map<int32_t, int64_t> ends;
    for (const TimelineEvent& event : events_) ends[event.rank] = std::max(ends[event.rank], (event.start + event.duration).nanoseconds());
    for (const auto& [rank, end] : ends) {
      Slice("user_annotation", fmt::format("ProfilerStep#{}", options_.step), rank, kHostThread, 0, end, "");
    }
  }

  void Slice(std::string_view category, std::string_view name, int32_t rank, int32_t thread, int64_t start, int64_t end,
             std::string_view arguments) {
    Line(fmt::format(R"({{"ph": "X", "cat": "{}", "name": {}, "pid": {}, "tid": {}, "ts": {}, "dur": {}, "args": {{{}}}}})", category,
                     Quoted(name), rank, thread, Microseconds(start), Microseconds(end - start), arguments));
  }

  std::string OpArguments(const TimelineEvent& event) const {
    const ir::TimelineOp& op = timeline_.ops[event.op.index()];
    return fmt::format(R"("op id": {}, "op": {}, "label": {}, "kind": {}, "phase": {}, "layer": {}, "micro_batch": {}, "source": {})",
                       event.op.value, Quoted(op.target), Quoted(op.label), Quoted(op.kind), Quoted(op.phase), op.layer, op.micro_batch,
                       Quoted(op.source));
  }

  // A kernel: an event of a communication stream, or computation on a compute stream. What else stands on a compute stream (waits; views
  // and launches on a CPU) is the host's and must not count as busy time of a device.
  bool IsKernel(const TimelineEvent& event) const {
    const Stream::Kind kind = StreamOf(event).kind;
    return kind == Stream::Kind::kCommunication || (kind == Stream::Kind::kCompute && timeline_.ops[event.op.index()].kind == "compute");
  }

  void WriteEvent(size_t index) {
    const TimelineEvent& event = events_[index];
    const ir::TimelineOp& op = timeline_.ops[event.op.index()];
    const int64_t start = event.start.nanoseconds();
    const int64_t end = (event.start + event.duration).nanoseconds();
    if (IsKernel(event)) {
      const int64_t correlation = CorrelationOf(event);
      const bool communication = StreamOf(event).kind == Stream::Kind::kCommunication;
      Slice("kernel", communication ? KernelName(op.target) : op.target, event.rank, ThreadOf(event.stream), start, end,
            fmt::format(R"("device": {}, "stream": {}, "correlation": {}, {})", event.rank, ThreadOf(event.stream), correlation,
                        OpArguments(event)));
      if (!launched_on_host_.contains({event.rank, event.op})) WriteLaunch(event, start, start);
    } else if (StreamOf(event).kind == Stream::Kind::kHost) {
      Slice("cpu_op", op.target, event.rank, kHostThread, start, end, OpArguments(event));
      if (op.kind == "compute" || op.kind == "collective") WriteLaunch(event, start, end);
    } else {
      Slice("cpu_op", op.target, event.rank, ThreadOf(event.stream), start, end, OpArguments(event));
    }
  }

  // HTA links a kernel to its launch by the correlation number.
  void WriteLaunch(const TimelineEvent& event, int64_t start, int64_t end) {
    Slice("cuda_runtime", "cudaLaunchKernel", event.rank, kHostThread, start, end,
          fmt::format("\"correlation\": {}", CorrelationOf(event)));
  }

  int64_t CorrelationOf(const TimelineEvent& event) const {
    return static_cast<int64_t>(event.rank) * static_cast<int64_t>(timeline_.ops.size()) + event.op.value + 1;
  }

  // One counter with a series per storage role: Perfetto stacks them.
  void WriteMemory() {
    for (const ir::MemorySample& sample : timeline_.memory) {
      if (!Wanted(sample.rank)) continue;
      std::string series;
      for (size_t role = 0; role < ir::kStorageRoles; ++role) {
        series += fmt::format("{}\"{}\": {}", role == 0 ? "" : ", ", ir::Name(static_cast<ir::StorageRole>(role)), sample.bytes[role]);
      }
      Line(fmt::format(R"({{"ph": "C", "name": "memory bytes", "pid": {}, "tid": {}, "ts": {}, "args": {{{}}}}})", sample.rank, kHostThread,
                       Microseconds(sample.time.nanoseconds()), series));
    }
  }

  const Stream& StreamOf(const TimelineEvent& event) const { return timeline_.streams[static_cast<size_t>(event.stream)]; }

  const Timeline& timeline_;
  const std::vector<size_t>& order_;
  ChromeTraceOptions options_;
  std::vector<TimelineEvent> events_;  // by rank, stream, start
  std::set<std::pair<int32_t, ir::OpId>> launched_on_host_;
  std::string text_;
  bool first_ = true;
};

}  // namespace

Result<std::string> ToChromeTrace(const Timeline& timeline, const ChromeTraceOptions& options) {
  HELM_ASSIGN_OR_RETURN(const std::vector<size_t> order, TrackOrder(timeline));
  return ChromeWriter(timeline, order, options).Write();
}

Status WriteChromeTracesByRank(const Timeline& timeline, const std::string& folder, int64_t step) {
  HELM_ASSIGN_OR_RETURN(const std::vector<size_t> order, TrackOrder(timeline));
  std::set<int32_t> ranks;
  for (const TimelineEvent& event : timeline.events) ranks.insert(event.rank);
  for (int32_t rank : ranks) {
    HELM_ASSIGN_OR_RETURN(const std::string text, ChromeWriter(timeline, order, {.rank = rank, .step = step}).Write());
    HELM_RETURN_IF_ERROR(WriteFileAtomically(fmt::format("{}/rank{}_trace.json", folder, rank), text));
  }
  return OkStatus();
}

}  // namespace helm::formats
