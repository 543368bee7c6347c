#include "formats/perfetto_trace.h"

#include <fmt/format.h>
#include <protozero/pbf_writer.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "formats/tar_archive.h"
#include "ir/timeline_ranks.h"

namespace helm::formats {
namespace {

using ir::Stream;
using ir::Timeline;
using ir::TimelineEvent;
using protozero::pbf_writer;

// Field numbers of perfetto.protos: trace/trace_packet.proto, trace/track_event/*.proto.
enum TraceField : uint32_t { kPacket = 1 };
enum PacketField : uint32_t { kTimestamp = 8, kSequence = 10, kTrackEvent = 11, kTrackDescriptor = 60 };
enum TrackField : uint32_t { kUuid = 1, kTrackName = 2, kProcess = 3, kParent = 5, kCounter = 8, kChildOrdering = 11, kSiblingRank = 12 };
enum ProcessField : uint32_t { kPid = 1, kProcessName = 6 };
enum CounterField : uint32_t { kUnit = 3 };
enum EventField : uint32_t {
  kAnnotation = 4,
  kType = 9,
  kTrack = 11,
  kCategory = 22,
  kName = 23,
  kCounterValue = 30,
  kFlow = 47,
  kTerminatingFlow = 48
};
enum AnnotationField : uint32_t { kInteger = 4, kText = 6, kAnnotationName = 10 };
constexpr int32_t kSliceBegin = 1, kSliceEnd = 2, kCounterSample = 4;  // TrackEvent.Type
constexpr int32_t kExplicitOrder = 3;                                  // TrackDescriptor.ChildTracksOrdering
constexpr int32_t kSizeBytes = 3;                                      // CounterDescriptor.Unit
constexpr uint32_t kOnlySequence = 1;

struct Flows {
  std::vector<uint64_t> starting;
  std::vector<uint64_t> ending;
};

class Writer {
 public:
  explicit Writer(const Timeline& timeline) : timeline_(timeline), trace_(text_) {}

  Result<std::string> Write() {
    HELM_RETURN_IF_ERROR(SortEvents());
    FindFlows();
    WriteTracks();
    for (size_t i : order_) WriteSlice(i);
    WriteMemory();
    return std::move(text_);
  }

 private:
  Status SortEvents() {
    if (timeline_.events.empty()) return InvalidError(fmt::format("error: timeline '{}' has no events", timeline_.title));
    for (size_t i = 0; i < timeline_.events.size(); ++i) order_.push_back(i);
    std::ranges::stable_sort(order_, {}, [this](size_t i) {
      const TimelineEvent& event = timeline_.events[i];
      return std::tuple(event.rank, event.stream, event.start, event.start + event.duration);
    });
    for (size_t k = 1; k < order_.size(); ++k) {
      const TimelineEvent& a = timeline_.events[order_[k - 1]];
      const TimelineEvent& b = timeline_.events[order_[k]];
      if (a.rank == b.rank && a.stream == b.stream && b.start < a.start + a.duration) {
        return InvalidError(fmt::format("error: timeline '{}': ops {} and {} overlap on rank {}, stream '{}'", timeline_.title, a.op.value,
                                        b.op.value, a.rank, timeline_.streams[static_cast<size_t>(a.stream)].name));
      }
    }
    return OkStatus();
  }

  void AddFlow(size_t a, size_t b) {
    if (timeline_.events[b].start < timeline_.events[a].start) std::swap(a, b);
    const uint64_t id = ++flow_count_;
    flows_[a].starting.push_back(id);
    flows_[b].ending.push_back(id);
  }

  void FindFlows() {
    std::map<std::pair<int32_t, ir::OpId>, size_t> launches;
    const auto is_communication = [this](const TimelineEvent& event) {
      return timeline_.streams[static_cast<size_t>(event.stream)].kind == Stream::Kind::kCommunication;
    };
    for (size_t i = 0; i < timeline_.events.size(); ++i) {
      const TimelineEvent& event = timeline_.events[i];
      if (timeline_.ops[event.op.index()].kind == "collective" && !is_communication(event)) launches[{event.rank, event.op}] = i;
    }
    for (size_t i : order_) {
      const TimelineEvent& event = timeline_.events[i];
      const auto launch = launches.find({event.rank, event.op});
      if (is_communication(event) && launch != launches.end()) AddFlow(launch->second, i);
    }
    for (const ir::Message& message : ir::MessagesOf(timeline_)) AddFlow(message.send, message.receive);
  }

  // A rank's process, then its streams, then its counters; 0 is Perfetto's own track. Pid 0 is the idle process.
  static uint64_t ProcessTrack(int32_t rank) { return (static_cast<uint64_t>(rank) + 1) << 24; }
  static uint64_t StreamTrack(int32_t rank, int32_t stream) { return ProcessTrack(rank) + 1 + static_cast<uint64_t>(stream); }
  static uint64_t MemoryTrack(int32_t rank, size_t series) { return ProcessTrack(rank) + (1 << 16) + series; }

  void WriteTracks() {
    std::map<int32_t, std::set<int32_t>> streams;
    std::set<int32_t> with_memory;
    for (const TimelineEvent& event : timeline_.events) streams[event.rank].insert(event.stream);
    for (const ir::MemorySample& sample : timeline_.memory) {
      streams[sample.rank];
      with_memory.insert(sample.rank);
    }
    for (const auto& [rank, used] : streams) {
      WriteProcess(rank);
      for (int32_t stream : used) {
        WriteTrack(StreamTrack(rank, stream), rank, timeline_.streams[static_cast<size_t>(stream)].name, stream, false);
      }
      for (size_t series = 0; with_memory.contains(rank) && series <= ir::kStorageRoles; ++series) {
        const std::string_view role = series == ir::kStorageRoles ? "all" : ir::Name(static_cast<ir::StorageRole>(series));
        WriteTrack(MemoryTrack(rank, series), rank, fmt::format("memory {}", role), static_cast<int32_t>(timeline_.streams.size() + series),
                   true);
      }
    }
  }

  void WriteProcess(int32_t rank) {
    pbf_writer packet(trace_, kPacket);
    packet.add_uint32(kSequence, kOnlySequence);
    pbf_writer track(packet, kTrackDescriptor);
    track.add_uint64(kUuid, ProcessTrack(rank));
    {
      pbf_writer process(track, kProcess);
      process.add_int32(kPid, rank + 1);
      process.add_string(kProcessName, fmt::format("rank {} {}", rank, timeline_.title));
    }
    track.add_int32(kChildOrdering, kExplicitOrder);
  }

  void WriteTrack(uint64_t uuid, int32_t rank, const std::string& name, int32_t place, bool counter) {
    pbf_writer packet(trace_, kPacket);
    packet.add_uint32(kSequence, kOnlySequence);
    pbf_writer track(packet, kTrackDescriptor);
    track.add_uint64(kUuid, uuid);
    track.add_string(kTrackName, name);
    track.add_uint64(kParent, ProcessTrack(rank));
    if (counter) pbf_writer(track, kCounter).add_int32(kUnit, kSizeBytes);
    track.add_int32(kSiblingRank, place);
  }

  static void Annotate(pbf_writer& event, const char* name, std::string_view text) {
    pbf_writer annotation(event, kAnnotation);
    annotation.add_string(kText, text.data(), text.size());
    annotation.add_string(kAnnotationName, name);
  }

  static void Annotate(pbf_writer& event, const char* name, int64_t number) {
    pbf_writer annotation(event, kAnnotation);
    annotation.add_int64(kInteger, number);
    annotation.add_string(kAnnotationName, name);
  }

  void WriteSlice(size_t index) {
    const TimelineEvent& event = timeline_.events[index];
    const ir::TimelineOp& op = timeline_.ops[event.op.index()];
    const uint64_t track = StreamTrack(event.rank, event.stream);
    {
      pbf_writer packet(trace_, kPacket);
      packet.add_uint64(kTimestamp, static_cast<uint64_t>(event.start.nanoseconds()));
      packet.add_uint32(kSequence, kOnlySequence);
      pbf_writer slice(packet, kTrackEvent);
      slice.add_int32(kType, kSliceBegin);
      slice.add_uint64(kTrack, track);
      slice.add_string(kCategory, op.kind);
      slice.add_string(kName, op.target);
      Annotate(slice, "op id", event.op.value);
      Annotate(slice, "label", op.label);
      Annotate(slice, "kind", op.kind);
      Annotate(slice, "phase", op.phase);
      Annotate(slice, "layer", op.layer);
      Annotate(slice, "micro_batch", op.micro_batch);
      Annotate(slice, "source", op.source);
      if (const auto flows = flows_.find(index); flows != flows_.end()) {
        for (uint64_t id : flows->second.starting) slice.add_fixed64(kFlow, id);
        for (uint64_t id : flows->second.ending) slice.add_fixed64(kTerminatingFlow, id);
      }
    }
    pbf_writer packet(trace_, kPacket);
    packet.add_uint64(kTimestamp, static_cast<uint64_t>((event.start + event.duration).nanoseconds()));
    packet.add_uint32(kSequence, kOnlySequence);
    pbf_writer slice(packet, kTrackEvent);
    slice.add_int32(kType, kSliceEnd);
    slice.add_uint64(kTrack, track);
  }

  void WriteCounter(uint64_t track, Duration time, int64_t value) {
    pbf_writer packet(trace_, kPacket);
    packet.add_uint64(kTimestamp, static_cast<uint64_t>(time.nanoseconds()));
    packet.add_uint32(kSequence, kOnlySequence);
    pbf_writer sample(packet, kTrackEvent);
    sample.add_int32(kType, kCounterSample);
    sample.add_uint64(kTrack, track);
    sample.add_int64(kCounterValue, value);
  }

  void WriteMemory() {
    for (const ir::MemorySample& sample : timeline_.memory) {
      int64_t sum = 0;
      for (size_t role = 0; role < ir::kStorageRoles; ++role) {
        WriteCounter(MemoryTrack(sample.rank, role), sample.time, sample.bytes[role]);
        sum += sample.bytes[role];
      }
      WriteCounter(MemoryTrack(sample.rank, ir::kStorageRoles), sample.time, sum);
    }
  }

  const Timeline& timeline_;
  std::string text_;
  pbf_writer trace_;
  std::vector<size_t> order_;      // events by rank, stream, start
  std::map<size_t, Flows> flows_;  // by event
  uint64_t flow_count_ = 0;
};

}  // namespace

Result<std::string> ToPerfettoTrace(const Timeline& timeline) { return Writer(timeline).Write(); }

Result<std::string> ToPerfettoArchive(const Timeline& predicted, const Timeline& measured) {
  HELM_ASSIGN_OR_RETURN(std::string first, ToPerfettoTrace(predicted));
  HELM_ASSIGN_OR_RETURN(std::string second, ToPerfettoTrace(measured));
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  // Both count from the start of the step: offset 0 from the trace's time puts them on one axis.
  for (const char* name : {"predicted", "measured"}) {
    files.push_back({{"path", fmt::format("{}.pftrace", name)}, {"machine", {{"name", name}}}, {"clocks", {{"offset_ns", 0}}}});
  }
  const nlohmann::ordered_json manifest = {{"perfetto_manifest", {{"version", 1}, {"files", std::move(files)}}}};
  return ToTar({{"perfetto_manifest.json", manifest.dump(1) + "\n"},
                {"predicted.pftrace", std::move(first)},
                {"measured.pftrace", std::move(second)}});
}

}  // namespace helm::formats
