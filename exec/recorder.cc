#include "exec/recorder.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "core/check.h"
#include "ir/lifetime.h"
#include "ir/stream_layout.h"
#include "ir/timeline_ranks.h"

namespace helm::exec {
namespace {

class EventList {
 public:
  EventList(int64_t rank, size_t streams) : rank_(static_cast<int32_t>(rank)), free_from_(streams) {}

  // Clocks of different threads and collectives that were in flight together may overlap by their measurement: a row's events follow each
  // other.
  void Add(int32_t stream, ir::OpId op, const runtime::OpTime& time) {
    Duration& free_from = free_from_[static_cast<size_t>(stream)];
    const Duration start = std::max(time.start, free_from);
    const Duration end = std::max(time.end, start);
    free_from = end;
    events_.push_back({rank_, stream, op, start, end - start});
  }

  // Sorted by stream and start.
  std::vector<ir::TimelineEvent> Take() {
    std::stable_sort(events_.begin(), events_.end(), [](const auto& a, const auto& b) { return a.stream < b.stream; });
    return std::move(events_);
  }

 private:
  int32_t rank_;
  std::vector<Duration> free_from_;
  std::vector<ir::TimelineEvent> events_;
};

std::vector<ir::TimelineEvent> EventsOf(const ir::Program& program, int64_t rank, size_t first_op, const ir::StreamLayout& layout,
                                        const runtime::StepRecord& record) {
  const bool one_thread = program.device == ir::DeviceKind::kCpu;
  EventList events(rank, layout.streams().size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    const ir::OpId id(first_op + i);
    const bool on_compute = op.kind == ir::OpKind::kCompute || op.kind == ir::OpKind::kWait;
    if (!one_thread || !on_compute) events.Add(layout.host(), id, record.host[i]);
    if (on_compute) events.Add(layout.compute(op.compute_stream), id, one_thread ? record.host[i] : record.ops[i]);
    if (op.kind == ir::OpKind::kCollectiveStart) events.Add(layout.communication(program, op), id, record.ops[i]);
  }
  return events.Take();
}

using BytesByRole = std::array<int64_t, ir::kStorageRoles>;

int64_t& Of(BytesByRole& bytes, ir::StorageRole role) { return bytes[static_cast<size_t>(role)]; }

// The allocator counts bytes, not roles: roles are those of the storages that live by the program's lifetimes, and what was counted beyond
// them (rounding, workspace that an op keeps) is added to the activations.
std::vector<ir::MemorySample> MemoryOf(const ir::Program& program, int64_t rank, size_t first_op, const runtime::StepRecord& record) {
  const ir::Lifetimes lifetimes = ir::ComputeLifetimes(program);
  BytesByRole live{};
  for (const ir::Storage& storage : program.storages) {
    if (storage.persistent) Of(live, storage.role) += storage.bytes.count();
  }
  std::vector<ir::MemorySample> samples;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    for (const ir::StorageId id : lifetimes.allocated_by[i]) Of(live, program.storage(id).role) += program.storage(id).bytes.count();
    for (const ir::StorageId id : lifetimes.freed_after[i]) Of(live, program.storage(id).role) -= program.storage(id).bytes.count();
    ir::MemorySample sample{.rank = static_cast<int32_t>(rank), .op = ir::OpId(first_op + i), .time = record.host[i].end, .bytes = live};
    const int64_t counted = std::accumulate(live.begin(), live.end(), int64_t{0});
    // A backend's thread may let go of a finished collective's tensor only in the next step, which then seems to begin with more than it
    // has: what is counted after that is too little by those few bytes.
    int64_t& activations = Of(sample.bytes, ir::StorageRole::kActivation);
    activations = std::max<int64_t>(0, activations + record.live_bytes[i] - counted);
    samples.push_back(sample);
  }
  return samples;
}

}  // namespace

ir::Timeline TimelineOf(const ir::StepPrograms& step, int64_t rank, const runtime::StepRecord& record, Bytes memory_bytes_peak) {
  const size_t rank_class = ClassOfRank(step, rank);
  const ir::Program& program = step.classes[rank_class];
  const size_t ops = program.ops.size();
  HELM_CHECK(record.ops.size() == ops && record.host.size() == ops && record.live_bytes.size() == ops, "a record has every op");
  const ir::StreamLayout layout(step);
  const size_t first_op = FirstOpOfClass(step, rank_class);
  ir::Timeline timeline;
  timeline.title = "measured";
  timeline.makespan = record.makespan;
  timeline.mesh = step.mesh();
  timeline.groups = program.groups;
  timeline.streams = layout.streams();
  timeline.ops = ir::TimelineOps(step);
  timeline.events = EventsOf(program, rank, first_op, layout, record);
  timeline.memory = MemoryOf(program, rank, first_op, record);
  timeline.ranks = {
      {static_cast<int32_t>(rank), record.makespan, memory_bytes_peak, record.memory_bytes_reserved, record.memory_bytes_outside}};
  return timeline;
}

ir::Timeline Merge(const std::vector<ir::Timeline>& ranks) {
  HELM_CHECK(!ranks.empty(), "a run has ranks");
  ir::Timeline merged = ranks.front();
  for (size_t r = 1; r < ranks.size(); ++r) {
    HELM_CHECK(ranks[r].ops.size() == merged.ops.size() && ranks[r].streams == merged.streams, "all ranks ran the same program");
    merged.makespan = std::max(merged.makespan, ranks[r].makespan);
    merged.events.insert(merged.events.end(), ranks[r].events.begin(), ranks[r].events.end());
    merged.memory.insert(merged.memory.end(), ranks[r].memory.begin(), ranks[r].memory.end());
    merged.ranks.insert(merged.ranks.end(), ranks[r].ranks.begin(), ranks[r].ranks.end());
  }
  ir::EndSendsWithTheirReceives(merged);
  return merged;
}

size_t MedianIndex(const std::vector<Duration>& values) {
  HELM_CHECK(!values.empty(), "a median needs values");
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  return order[(order.size() - 1) / 2];
}

}  // namespace helm::exec
