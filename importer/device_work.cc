#include "importer/device_work.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace helm::importer {
namespace {

struct StepSpan {
  int64_t begin = std::numeric_limits<int64_t>::max();  // of its first work
  int64_t end = 0;
};

// A row of the timeline: work of one CUDA stream that computes, or that is communication of one group. Computation before communication.
struct RowKey {
  bool communicates = false;
  std::string group;
  int64_t stream = 0;
  auto operator<=>(const RowKey&) const = default;
};

class TimelineMaker {
 public:
  TimelineMaker(const DeviceTrace& trace, const std::string& file) : trace_(trace), file_(file) {}

  Result<ImportedTimeline> Make() {
    made_.omissions = trace_.omissions;
    made_.remarks = trace_.remarks;
    FindCopyStreams();
    FindSpans();
    if (spans_.empty()) return InvalidError(fmt::format("{}: error: there is no GPU kernel in this trace", file_));
    ChooseStep();
    CollectWork();
    AddStreams();
    AddOps();
    AddEvents();
    ir::Timeline& timeline = made_.timeline;
    timeline.title = "measured";
    timeline.plan = trace_.description;
    timeline.device = trace_.device;
    timeline.ranks.push_back({trace_.rank, timeline.makespan, Bytes(trace_.bytes_allocated_peak)});
    return std::move(made_);
  }

 private:
  // Copies beside kernels belong to the stream's order; a stream of copies alone feeds or reads the GPU and computes nothing.
  void FindCopyStreams() {
    for (const DeviceWork& work : trace_.work) {
      if (!work.copies) kernel_streams_.insert(work.stream);
    }
  }
  bool Counts(const DeviceWork& work) const { return !work.copies || kernel_streams_.contains(work.stream); }

  void FindSpans() {
    int64_t left_out = 0;
    for (const DeviceWork& work : trace_.work) {
      if (!Counts(work)) {
        ++left_out;
        continue;
      }
      StepSpan& span = spans_[work.step];
      span.begin = std::min(span.begin, work.start_ns);
      span.end = std::max(span.end, work.start_ns + work.duration_ns);
    }
    made_.omissions.Add("copies and fills on streams without kernels", {}, left_out);
  }

  void ChooseStep() {
    std::vector<std::pair<int64_t, int64_t>> durations;  // with the step
    for (auto span = spans_.begin(); span != spans_.end(); ++span) {
      const auto next = std::next(span);
      const bool followed = next != spans_.end() && next->first == span->first + 1;
      durations.emplace_back((followed ? next->second.begin : span->second.end) - span->second.begin, span->first);
    }
    if (durations.size() > 1) durations.pop_back();  // the last one lacks what the host does between two steps
    for (auto& [duration, step] : durations) {
      duration = std::max<int64_t>(duration, 0);  // work of the next one began first, on another stream
      made_.timeline.steps.push_back(Duration::Nanoseconds(duration));
    }
    std::ranges::sort(durations);
    const auto& [duration, step] = durations[(durations.size() - 1) / 2];
    step_ = step;
    made_.timeline.makespan = Duration::Nanoseconds(duration);
  }

  void CollectWork() {
    for (const DeviceWork& work : trace_.work) {
      if (work.step == step_ && Counts(work)) work_.push_back(&work);
    }
    std::ranges::stable_sort(work_, {}, [](const DeviceWork* work) { return work->start_ns; });
  }

  RowKey RowOf(const DeviceWork& work) const {
    const LaunchedOp& op = trace_.ops[work.op];
    return {op.collective, op.group, work.stream};
  }

  void AddStreams() {
    for (const DeviceWork* work : work_) rows_.try_emplace(RowOf(*work), 0);
    std::map<std::string, int32_t> of_group;
    int32_t compute = 0;
    for (auto& [key, row] : rows_) {
      row = static_cast<int32_t>(made_.timeline.streams.size());
      if (!key.communicates) {
        made_.timeline.streams.push_back(
            {ir::Stream::Kind::kCompute, compute, compute == 0 ? "compute" : fmt::format("compute.{}", compute)});
        ++compute;
        continue;
      }
      const int32_t same = of_group[key.group]++;
      const auto index = static_cast<int32_t>(std::ssize(of_group) - 1);
      const std::string name = key.group.empty() ? "communication" : "communication." + key.group;
      made_.timeline.streams.push_back({ir::Stream::Kind::kCommunication, index, same == 0 ? name : fmt::format("{}.{}", name, same)});
    }
  }

  // Those of the step, in order of their launch.
  void AddOps() {
    std::map<size_t, std::map<std::string, int64_t>> kernels;  // of an op: name -> time
    for (const DeviceWork* work : work_) kernels[work->op][work->kernel] += work->duration_ns;
    std::vector<size_t> order;
    for (const auto& [op, names] : kernels) order.push_back(op);
    std::ranges::stable_sort(order, {}, [&](size_t op) { return trace_.ops[op].launch_ns; });
    for (const size_t index : order) {
      const LaunchedOp& op = trace_.ops[index];
      const auto& names = kernels.at(index);
      const auto longest = std::ranges::max_element(names, {}, [](const auto& entry) { return entry.second; });
      ids_[index] = ir::OpId(made_.timeline.ops.size());
      made_.timeline.ops.push_back(
          {op.target, longest->first, op.collective ? "collective" : "compute", op.phase, "observed", /*layer=*/-1, /*micro_batch=*/-1});
    }
  }

  // A kernel may begin a little before the one before it on its stream has ended (programmatic dependent launch): it counts from then on.
  void AddEvents() {
    std::vector<ir::TimelineEvent>& events = made_.timeline.events;
    const int64_t begin = spans_.at(step_).begin;
    std::map<int32_t, int64_t> ends;
    int64_t clipped = 0;
    for (const DeviceWork* work : work_) {
      const int32_t row = rows_.at(RowOf(*work));
      int64_t& row_end = ends[row];
      const int64_t start = work->start_ns - begin;
      const int64_t end = start + work->duration_ns;
      if (start < row_end) ++clipped;
      const int64_t counted = std::max(start, row_end);
      row_end = std::max(end, counted);
      events.push_back({trace_.rank, row, ids_.at(work->op), Duration::Nanoseconds(counted), Duration::Nanoseconds(row_end - counted)});
    }
    std::ranges::stable_sort(events, {}, &ir::TimelineEvent::stream);
    if (clipped > 0)
      made_.remarks.push_back(fmt::format("{} kernels began before the one before them had ended: they count from there", clipped));
  }

  const DeviceTrace& trace_;
  const std::string& file_;
  ImportedTimeline made_;
  std::set<int64_t> kernel_streams_;
  std::map<int64_t, StepSpan> spans_;
  int64_t step_ = 0;
  std::vector<const DeviceWork*> work_;  // of the step, by start
  std::map<RowKey, int32_t> rows_;
  std::map<size_t, ir::OpId> ids_;
};

}  // namespace

Result<ImportedTimeline> TimelineOf(const DeviceTrace& trace, const std::string& file) { return TimelineMaker(trace, file).Make(); }

std::string ShortKernelName(std::string_view name) {
  constexpr size_t kLongest = 80;
  std::string text = ReplaceAll(std::string(name), "(anonymous namespace)::", "");
  if (text.starts_with("void ")) text.erase(0, 5);
  text.resize(std::min(text.find_first_of("<("), text.size()));
  if (const size_t scope = text.rfind("::"); scope != std::string::npos) text.erase(0, scope + 2);
  return std::string(Trim(text).substr(0, kLongest));
}

std::string CollectiveTarget(std::string_view name) {
  std::string letters;
  for (const char c : name) {
    if (c != '_') letters += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kStarts = {{{"allreduce", "c10d.all_reduce"},
                                                                                     {"allgather", "c10d.all_gather"},
                                                                                     {"reducescatter", "c10d.reduce_scatter"},
                                                                                     {"alltoall", "c10d.all_to_all"},
                                                                                     {"all2all", "c10d.all_to_all"},
                                                                                     {"broadcast", "c10d.broadcast"},
                                                                                     {"sendrecv", "c10d.send"},
                                                                                     {"send", "c10d.send"},
                                                                                     {"recv", "c10d.recv"}}};
  for (const auto& [start, target] : kStarts) {
    if (letters.starts_with(start)) return std::string(target);
  }
  return "c10d." + (letters.empty() ? std::string("unknown") : letters);
}

}  // namespace helm::importer
