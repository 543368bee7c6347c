#include "formats/perfetto_trace.h"

#include <fmt/format.h>
#include <protozero/pbf_writer.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/tar_archive.h"
#include "formats/track_order.h"
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
enum CounterField : uint32_t { kUnit = 3, kSharedAxis = 7 };
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

class PerfettoWriter {
 public:
  PerfettoWriter(const Timeline& timeline, const std::string& title) : timeline_(timeline), title_(title), trace_(text_) {}

  Result<std::string> Write() {
    HELM_ASSIGN_OR_RETURN(order_, TrackOrder(timeline_));
    FindFlows();
    WriteTracks();
    for (size_t i : order_) WriteSlice(i);
    WriteMemory();
    return std::move(text_);
  }

 private:
  // From slice to slice in the order in which Perfetto meets them: by start, then by place in the file. It drops the end of a flow that it
  // has not met the beginning of.
  void AddFlow(std::vector<size_t> slices) {
    std::ranges::sort(slices, {}, [this](size_t i) { return std::pair(timeline_.events[i].start.nanoseconds(), place_[i]); });
    const uint64_t id = ++flow_count_;
    for (size_t i : slices) (i == slices.back() ? flows_[i].ending : flows_[i].starting).push_back(id);
  }

  void FindFlows() {
    place_.resize(order_.size());
    for (size_t place = 0; place < order_.size(); ++place) place_[order_[place]] = place;
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
      if (is_communication(event) && launch != launches.end()) AddFlow({launch->second, i});
    }
    for (const ir::Message& message : ir::MessagesOf(timeline_)) AddFlow({message.send, message.receive});
    for (std::vector<size_t>& members : ir::CollectivesOf(timeline_)) AddFlow(std::move(members));
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
      process.add_string(kProcessName, fmt::format("rank {} {}", rank, title_));
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
    if (counter) {
      pbf_writer description(track, kCounter);
      description.add_int32(kUnit, kSizeBytes);
      description.add_string(kSharedAxis, "memory");  // curves of a rank that can be held against each other
    }
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
  const std::string& title_;
  std::string text_;
  pbf_writer trace_;
  std::vector<size_t> order_;      // events by rank, stream, start
  std::vector<size_t> place_;      // of an event in that order, which is the file's
  std::map<size_t, Flows> flows_;  // by event
  uint64_t flow_count_ = 0;
};

// A title as the name of a file: letters, digits, '-' and '_'.
std::string FileNameOf(const std::string& title) {
  constexpr size_t kLongest = 60;
  std::string name = title.substr(0, kLongest);
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    if (!plain) c = '_';
  }
  return name;
}

}  // namespace

Result<std::string> ToPerfettoTrace(const Timeline& timeline) { return PerfettoWriter(timeline, timeline.title).Write(); }

Result<std::string> ToPerfettoArchive(const Timeline& first, const Timeline& second) {
  const auto [first_title, second_title] = ir::TitlesApart(first, second);
  HELM_ASSIGN_OR_RETURN(std::string first_trace, PerfettoWriter(first, first_title).Write());
  HELM_ASSIGN_OR_RETURN(std::string second_trace, PerfettoWriter(second, second_title).Write());
  std::string first_file = FileNameOf(first_title), second_file = FileNameOf(second_title);
  if (first_file == second_file) {
    first_file += "_1";
    second_file += "_2";
  }
  // Both count from the start of the step: offset 0 from the trace's time puts them on one axis.
  const auto entry = [](const std::string& file, const std::string& title) {
    return nlohmann::ordered_json{{"path", file + ".pftrace"}, {"machine", {{"name", title}}}, {"clocks", {{"offset_ns", 0}}}};
  };
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  files.push_back(entry(first_file, first_title));
  files.push_back(entry(second_file, second_title));
  const nlohmann::ordered_json manifest = {{"perfetto_manifest", {{"version", 1}, {"files", std::move(files)}}}};
  return ToTar({{"perfetto_manifest.json", manifest.dump(1, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n"},
                {first_file + ".pftrace", std::move(first_trace)},
                {second_file + ".pftrace", std::move(second_trace)}});
}

}  // namespace helm::formats
