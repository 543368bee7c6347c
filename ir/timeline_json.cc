// Timelines as JSON (docs/formats/timeline.md): columns of whole numbers, texts by index into a list of distinct ones, so that 50,000
// events take about two megabytes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>

#include "core/file.h"
#include "core/json.h"
#include "ir/timeline.h"

namespace helm::ir {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kTimelineFormat = "helm-timeline/1";
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr std::array kRoles = {StorageRole::kParameter,  StorageRole::kGradient, StorageRole::kOptimizerState,
                               StorageRole::kActivation, StorageRole::kInput,    StorageRole::kCommunicationBuffer};
static_assert(kRoles.size() == kStorageRoles);
constexpr std::array kStreamKinds = {Stream::Kind::kHost, Stream::Kind::kCompute, Stream::Kind::kCommunication};

// ---- writing ----

template <typename Items, typename ValueOf>
Json Column(const Items& items, ValueOf value_of) {
  Json column = Json::array();
  for (const auto& item : items) column.push_back(value_of(item));
  return column;
}

// {"names": ["aten.mm", ...], "values": [0, 1, 0, ...]}
Json TextColumn(const std::vector<TimelineOp>& ops, std::string TimelineOp::* member) {
  std::map<std::string, size_t> index;
  Json names = Json::array();
  Json values = Json::array();
  for (const TimelineOp& op : ops) {
    const auto [entry, added] = index.try_emplace(op.*member, index.size());
    if (added) names.push_back(op.*member);
    values.push_back(entry->second);
  }
  return {{"names", names}, {"values", values}};
}

Json OpsToJson(const std::vector<TimelineOp>& ops) {
  return {{"target", TextColumn(ops, &TimelineOp::target)},
          {"label", TextColumn(ops, &TimelineOp::label)},
          {"kind", TextColumn(ops, &TimelineOp::kind)},
          {"phase", TextColumn(ops, &TimelineOp::phase)},
          {"source", TextColumn(ops, &TimelineOp::source)},
          {"layer", Column(ops, [](const TimelineOp& op) { return op.layer; })},
          {"micro_batch", Column(ops, [](const TimelineOp& op) { return op.micro_batch; })}};
}

Json EventsToJson(const std::vector<TimelineEvent>& events) {
  return {{"rank", Column(events, [](const TimelineEvent& event) { return event.rank; })},
          {"stream", Column(events, [](const TimelineEvent& event) { return event.stream; })},
          {"op", Column(events, [](const TimelineEvent& event) { return event.op.value; })},
          {"start_ps", Column(events, [](const TimelineEvent& event) { return event.start.picoseconds(); })},
          {"duration_ps", Column(events, [](const TimelineEvent& event) { return event.duration.picoseconds(); })}};
}

Json MemoryToJson(const std::vector<MemorySample>& memory) {
  Json document = {{"rank", Column(memory, [](const MemorySample& sample) { return sample.rank; })},
                   {"op", Column(memory, [](const MemorySample& sample) { return sample.op.value; })},
                   {"time_ps", Column(memory, [](const MemorySample& sample) { return sample.time.picoseconds(); })}};
  for (size_t role = 0; role < kStorageRoles; ++role) {
    document[std::string(Name(kRoles[role])) + "_bytes"] = Column(memory, [&](const MemorySample& sample) { return sample.bytes[role]; });
  }
  return document;
}

Json StreamToJson(const Stream& stream) { return {{"kind", Name(stream.kind)}, {"index", stream.index}, {"name", stream.name}}; }

Json MeshToJson(const MeshDimension& dimension) { return {{"name", dimension.name}, {"size", dimension.size}}; }

Json GroupToJson(const Group& group) {
  return {{"name", group.name}, {"dimensions", group.dimensions}, {"coordinates", group.coordinates}};
}

Json RankToJson(const RankSummary& rank) {
  Json json = {{"rank", rank.rank}, {"makespan_ps", rank.makespan.picoseconds()}, {"memory_bytes_peak", rank.memory_bytes_peak.count()}};
  if (rank.memory_bytes_reserved) json["memory_bytes_reserved"] = rank.memory_bytes_reserved->count();
  if (rank.memory_bytes_outside) json["memory_bytes_outside"] = rank.memory_bytes_outside->count();
  return json;
}

// ---- reading ----

// The parts of a document by name, and the first thing that is wrong with it.
class TimelineReader {
 public:
  explicit TimelineReader(std::string file) : file_(std::move(file)) {}

  const Status& status() const { return status_; }

  // An object (or array) in `parent`, whose keys must be exactly these; an empty one after an error.
  const Json& Object(const Json& parent, const char* key, const std::vector<std::string>& keys) {
    const Json& object = Part(parent, key, JsonObject(parent, key, file_));
    if (status_.ok()) Note(CheckKeys(object, keys, file_ + ": " + key));
    return object;
  }
  const Json& Array(const Json& parent, const char* key, std::string_view where) {
    return Part(parent, key, JsonArray(parent, key, Context(where)));
  }

  std::string Text(const Json& object, const char* key, std::string_view where = "") {
    return Get(JsonString(object, key, Context(where)), std::string());
  }

  int64_t Number(const Json& object, const char* key, int64_t low, int64_t high, std::string_view where = "") {
    const int64_t value = Get(JsonInt64(object, key, Context(where)), low);
    CheckRange(value, low, high, [&] { return fmt::format("{}{}{}", where, where.empty() ? "" : ".", key); });
    return value;
  }

  std::vector<int64_t> Numbers(const Json& parent, const char* key, int64_t low, int64_t high, std::string_view where) {
    std::vector<int64_t> values;
    const Json& column = Array(parent, key, where);
    for (size_t i = 0; i < column.size() && status_.ok(); ++i) {
      const auto place = [&] { return fmt::format("{}{}{}[{}]", where, where.empty() ? "" : ".", key, i); };
      const bool fits =
          column[i].is_number_integer() && !(column[i].is_number_unsigned() && column[i].get<uint64_t>() > static_cast<uint64_t>(kMost));
      if (!fits) {
        Fail(place(), fmt::format("expected a whole number, found {}", column[i].dump()));
        break;
      }
      values.push_back(column[i].get<int64_t>());
      CheckRange(values.back(), low, high, place);
    }
    return values;
  }

  void Fail(std::string_view where, std::string_view message) { Note(InvalidError(fmt::format("{}: error: {}", Context(where), message))); }
  void Note(const Status& status) {
    if (status_.ok()) status_ = status;
  }
  std::string Context(std::string_view where) const { return where.empty() ? file_ : fmt::format("{}: {}", file_, where); }

 private:
  const Json& Part(const Json&, const char*, const Result<const Json*>& part) {
    static const Json kEmpty;
    if (!part.ok()) Note(part.status());
    return part.ok() ? **part : kEmpty;
  }
  template <typename T>
  T Get(const Result<T>& value, const T& otherwise) {
    if (!value.ok()) Note(value.status());
    return value.ok() ? *value : otherwise;
  }
  template <typename Place>
  void CheckRange(int64_t value, int64_t low, int64_t high, Place place) {
    if (value < low || value > high) Fail(place(), fmt::format("{} is not in [{}, {}]", value, low, high));
  }

  std::string file_;
  Status status_;
};

constexpr int64_t kIdMost = std::numeric_limits<int32_t>::max();

// Columns of one table must be equally long.
template <typename T>
bool SameLength(TimelineReader& reader, std::string_view table, size_t length, const std::vector<T>& column, std::string_view name) {
  if (column.size() == length) return true;
  reader.Fail(fmt::format("{}.{}", table, name), fmt::format("has {} entries, the first column has {}", column.size(), length));
  return false;
}

void ReadTextColumn(TimelineReader& reader, const Json& parent, const char* key, std::string TimelineOp::* member,
                    std::vector<TimelineOp>& ops) {
  const std::string where = std::string("ops.") + key;
  const Json& column = reader.Object(parent, key, {"names", "values"});
  std::vector<std::string> names;
  for (const Json& name : reader.Array(column, "names", where)) {
    if (!name.is_string()) return reader.Fail(where + ".names", "expected texts, found " + name.dump());
    names.push_back(name.get<std::string>());
  }
  const std::vector<int64_t> values = reader.Numbers(column, "values", 0, static_cast<int64_t>(names.size()) - 1, where);
  if (!reader.status().ok() || !SameLength(reader, "ops", ops.size(), values, key)) return;
  for (size_t i = 0; i < ops.size(); ++i) ops[i].*member = names[static_cast<size_t>(values[i])];
}

std::vector<TimelineOp> ReadOps(TimelineReader& reader, const Json& document) {
  const Json& table = reader.Object(document, "ops", {"target", "label", "kind", "phase", "source", "layer", "micro_batch"});
  const std::vector<int64_t> layers = reader.Numbers(table, "layer", -1, kIdMost, "ops");
  const std::vector<int64_t> micro_batches = reader.Numbers(table, "micro_batch", -1, kIdMost, "ops");
  std::vector<TimelineOp> ops(layers.size());
  if (!reader.status().ok() || !SameLength(reader, "ops", layers.size(), micro_batches, "micro_batch")) return {};
  for (size_t i = 0; i < ops.size(); ++i) {
    ops[i].layer = static_cast<int32_t>(layers[i]);
    ops[i].micro_batch = static_cast<int32_t>(micro_batches[i]);
  }
  ReadTextColumn(reader, table, "target", &TimelineOp::target, ops);
  ReadTextColumn(reader, table, "label", &TimelineOp::label, ops);
  ReadTextColumn(reader, table, "kind", &TimelineOp::kind, ops);
  ReadTextColumn(reader, table, "phase", &TimelineOp::phase, ops);
  ReadTextColumn(reader, table, "source", &TimelineOp::source, ops);
  return ops;
}

// Events of one rank and stream follow one another.
void CheckEventOrder(TimelineReader& reader, const std::vector<TimelineEvent>& events) {
  std::map<std::pair<int32_t, int32_t>, Duration> free_at;
  for (size_t i = 0; i < events.size(); ++i) {
    const TimelineEvent& event = events[i];
    const auto [entry, first] = free_at.try_emplace({event.rank, event.stream});
    if (!first && event.start < entry->second) {
      return reader.Fail(fmt::format("events[{}]", i),
                         fmt::format("starts at {} ps, before the event before it on rank {}, stream {} ends ({} ps)",
                                     event.start.picoseconds(), event.rank, event.stream, entry->second.picoseconds()));
    }
    entry->second = event.start + event.duration;
  }
}

std::vector<TimelineEvent> ReadEvents(TimelineReader& reader, const Json& document, size_t streams, size_t ops) {
  const Json& table = reader.Object(document, "events", {"rank", "stream", "op", "start_ps", "duration_ps"});
  const auto ranks = reader.Numbers(table, "rank", 0, kIdMost, "events");
  const auto stream = reader.Numbers(table, "stream", 0, static_cast<int64_t>(streams) - 1, "events");
  const auto op = reader.Numbers(table, "op", 0, static_cast<int64_t>(ops) - 1, "events");
  const auto start = reader.Numbers(table, "start_ps", 0, kMost / 2, "events");
  const auto duration = reader.Numbers(table, "duration_ps", 0, kMost / 2, "events");
  const size_t count = ranks.size();
  if (!reader.status().ok() || !SameLength(reader, "events", count, stream, "stream") || !SameLength(reader, "events", count, op, "op") ||
      !SameLength(reader, "events", count, start, "start_ps") || !SameLength(reader, "events", count, duration, "duration_ps")) {
    return {};
  }
  std::vector<TimelineEvent> events(count);
  for (size_t i = 0; i < count; ++i) {
    events[i] = {static_cast<int32_t>(ranks[i]), static_cast<int32_t>(stream[i]), OpId(static_cast<size_t>(op[i])),
                 Duration::Picoseconds(start[i]), Duration::Picoseconds(duration[i])};
  }
  CheckEventOrder(reader, events);
  return events;
}

std::vector<MemorySample> ReadMemory(TimelineReader& reader, const Json& document, size_t ops) {
  std::vector<std::string> keys = {"rank", "op", "time_ps"};
  for (const StorageRole role : kRoles) keys.push_back(std::string(Name(role)) + "_bytes");
  const Json& table = reader.Object(document, "memory", keys);
  const auto ranks = reader.Numbers(table, "rank", 0, kIdMost, "memory");
  const auto op = reader.Numbers(table, "op", -1, static_cast<int64_t>(ops) - 1, "memory");
  const auto time = reader.Numbers(table, "time_ps", 0, kMost, "memory");
  if (!reader.status().ok() || !SameLength(reader, "memory", ranks.size(), op, "op") ||
      !SameLength(reader, "memory", ranks.size(), time, "time_ps")) {
    return {};
  }
  std::vector<MemorySample> memory(ranks.size());
  for (size_t i = 0; i < memory.size(); ++i) {
    memory[i].rank = static_cast<int32_t>(ranks[i]);
    memory[i].op.value = static_cast<int32_t>(op[i]);
    memory[i].time = Duration::Picoseconds(time[i]);
  }
  for (size_t role = 0; role < kStorageRoles; ++role) {
    const std::string& key = keys[3 + role];
    const auto bytes = reader.Numbers(table, key.c_str(), 0, kMost, "memory");
    if (!reader.status().ok() || !SameLength(reader, "memory", memory.size(), bytes, key)) return {};
    for (size_t i = 0; i < memory.size(); ++i) memory[i].bytes[role] = bytes[i];
  }
  return memory;
}

constexpr int64_t kRanksMost = 1 << 24;

std::vector<MeshDimension> ReadMesh(TimelineReader& reader, const Json& document) {
  std::vector<MeshDimension> mesh;
  int64_t world = 1;
  for (const Json& item : reader.Array(document, "mesh", "")) {
    const std::string where = fmt::format("mesh[{}]", mesh.size());
    reader.Note(CheckKeys(item, {"name", "size"}, reader.Context(where)));
    MeshDimension& dimension = mesh.emplace_back();
    dimension.name = reader.Text(item, "name", where);
    dimension.size = reader.Number(item, "size", 1, kRanksMost / world, where);
    if (!reader.status().ok()) break;
    world *= dimension.size;
  }
  return mesh;
}

std::vector<Group> ReadGroups(TimelineReader& reader, const Json& document) {
  std::vector<Group> groups;
  for (const Json& item : reader.Array(document, "groups", "")) {
    const std::string where = fmt::format("groups[{}]", groups.size());
    reader.Note(CheckKeys(item, {"name", "dimensions", "coordinates"}, reader.Context(where)));
    Group& group = groups.emplace_back();
    group.name = reader.Text(item, "name", where);
    for (const Json& dimension : reader.Array(item, "dimensions", where)) {
      if (!dimension.is_string()) reader.Fail(where + ".dimensions", "expected texts, found " + dimension.dump());
      if (!reader.status().ok()) return groups;
      group.dimensions.push_back(dimension.get<std::string>());
    }
    group.coordinates = reader.Numbers(item, "coordinates", 0, kIdMost, where);
    if (!reader.status().ok()) break;
  }
  return groups;
}

// Ranks lie on the mesh, groups along its dimensions, communication streams are of a group.
void CheckGroups(TimelineReader& reader, const Timeline& timeline) {
  for (size_t i = 0; i < timeline.groups.size(); ++i) {
    for (const std::string& name : timeline.groups[i].dimensions) {
      if (std::ranges::find(timeline.mesh, name, &MeshDimension::name) == timeline.mesh.end())
        reader.Fail(fmt::format("groups[{}].dimensions", i), fmt::format("'{}' is no dimension of the mesh", name));
    }
  }
  for (size_t i = 0; i < timeline.streams.size(); ++i) {
    const Stream& stream = timeline.streams[i];
    if (stream.kind == Stream::Kind::kCommunication && static_cast<size_t>(stream.index) >= timeline.groups.size())
      reader.Fail(fmt::format("streams[{}].index", i), fmt::format("there is no group {} of {}", stream.index, timeline.groups.size()));
  }
  const int64_t world = WorldSize(timeline.mesh);
  for (size_t i = 0; i < timeline.events.size(); ++i) {
    if (timeline.events[i].rank >= world)
      return reader.Fail(fmt::format("events.rank[{}]", i),
                         fmt::format("{} is not on the mesh of {} ranks", timeline.events[i].rank, world));
  }
}

std::vector<Stream> ReadStreams(TimelineReader& reader, const Json& document) {
  std::vector<Stream> streams;
  for (const Json& item : reader.Array(document, "streams", "")) {
    const std::string where = fmt::format("streams[{}]", streams.size());
    reader.Note(CheckKeys(item, {"kind", "index", "name"}, reader.Context(where)));
    Stream& stream = streams.emplace_back();
    const std::string kind = reader.Text(item, "kind", where);
    const auto known = std::ranges::find(kStreamKinds, kind, [](Stream::Kind value) { return Name(value); });
    if (known == kStreamKinds.end())
      reader.Fail(where + ".kind", fmt::format("'{}' is no kind of stream; allowed: host, compute, communication", kind));
    else
      stream.kind = *known;
    stream.index = static_cast<int32_t>(reader.Number(item, "index", 0, kIdMost, where));
    stream.name = reader.Text(item, "name", where);
    if (!reader.status().ok()) break;
  }
  return streams;
}

std::vector<RankSummary> ReadRanks(TimelineReader& reader, const Json& document) {
  std::vector<RankSummary> ranks;
  for (const Json& item : reader.Array(document, "ranks", "")) {
    const std::string where = fmt::format("ranks[{}]", ranks.size());
    reader.Note(CheckKeys(item, {"rank", "makespan_ps", "memory_bytes_peak", "memory_bytes_reserved", "memory_bytes_outside"},
                          reader.Context(where)));
    RankSummary& rank = ranks.emplace_back();
    rank.rank = static_cast<int32_t>(reader.Number(item, "rank", 0, kIdMost, where));
    rank.makespan = Duration::Picoseconds(reader.Number(item, "makespan_ps", 0, kMost, where));
    rank.memory_bytes_peak = Bytes(reader.Number(item, "memory_bytes_peak", 0, kMost, where));
    if (item.contains("memory_bytes_reserved"))
      rank.memory_bytes_reserved = Bytes(reader.Number(item, "memory_bytes_reserved", 0, kMost, where));
    if (item.contains("memory_bytes_outside"))
      rank.memory_bytes_outside = Bytes(reader.Number(item, "memory_bytes_outside", 0, kMost, where));
    if (!reader.status().ok()) break;
  }
  return ranks;
}

Status CheckFormat(const Json& document, const std::string& file) {
  HELM_RETURN_IF_ERROR(CheckKeys(document,
                                 {"format", "title", "plan", "program_hash", "device", "makespan_ps", "steps_ps", "mesh", "groups",
                                  "streams", "ops", "events", "memory", "ranks", "stamp"},
                                 file));
  HELM_ASSIGN_OR_RETURN(const std::string format, JsonString(document, "format", file));
  if (format == kTimelineFormat) return OkStatus();
  return InvalidError(fmt::format("{}: error: format '{}' is not known; this HELM reads {}", file, format, kTimelineFormat));
}

}  // namespace

nlohmann::ordered_json ToJson(const Timeline& timeline) {
  return {{"format", kTimelineFormat},
          {"title", timeline.title},
          {"plan", timeline.plan},
          {"program_hash", timeline.program_hash},
          {"device", timeline.device},
          {"makespan_ps", timeline.makespan.picoseconds()},
          {"steps_ps", Column(timeline.steps, [](Duration step) { return step.picoseconds(); })},
          {"mesh", Column(timeline.mesh, MeshToJson)},
          {"groups", Column(timeline.groups, GroupToJson)},
          {"streams", Column(timeline.streams, StreamToJson)},
          {"ops", OpsToJson(timeline.ops)},
          {"events", EventsToJson(timeline.events)},
          {"memory", MemoryToJson(timeline.memory)},
          {"ranks", Column(timeline.ranks, RankToJson)},
          {"stamp", timeline.stamp}};
}

Result<Timeline> TimelineFromJson(const nlohmann::ordered_json& document, std::string_view file) {
  HELM_RETURN_IF_ERROR(CheckFormat(document, std::string(file)));
  TimelineReader reader{std::string(file)};
  Timeline timeline;
  timeline.title = reader.Text(document, "title");
  timeline.plan = reader.Text(document, "plan");
  timeline.program_hash = reader.Text(document, "program_hash");
  timeline.device = reader.Text(document, "device");
  timeline.makespan = Duration::Picoseconds(reader.Number(document, "makespan_ps", 0, kMost));
  for (const int64_t step : reader.Numbers(document, "steps_ps", 0, kMost, "")) timeline.steps.push_back(Duration::Picoseconds(step));
  const bool has_mesh = document.contains("mesh") || document.contains("groups");  // older files have neither
  if (has_mesh) timeline.mesh = ReadMesh(reader, document);
  if (has_mesh) timeline.groups = ReadGroups(reader, document);
  timeline.streams = ReadStreams(reader, document);
  timeline.ops = ReadOps(reader, document);
  timeline.events = ReadEvents(reader, document, timeline.streams.size(), timeline.ops.size());
  timeline.memory = ReadMemory(reader, document, timeline.ops.size());
  timeline.ranks = ReadRanks(reader, document);
  if (has_mesh && !timeline.mesh.empty() && reader.status().ok()) CheckGroups(reader, timeline);
  if (document.contains("stamp")) timeline.stamp = document["stamp"];
  if (!reader.status().ok()) return reader.status();
  return timeline;
}

Result<Timeline> ReadTimeline(const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const Json document, ReadJsonFile(path));
  return TimelineFromJson(document, path);
}

Status WriteTimeline(const Timeline& timeline, const std::string& path) {
  // One line for each part: long columns need no line for each number, and a diff still says which part changed.
  std::string text = "{";
  const Json document = ToJson(timeline);
  for (const auto& [key, value] : document.items())
    text += fmt::format("{}\n  {}: {}", text.size() == 1 ? "" : ",", Json(key).dump(), value.dump());
  return WriteFileAtomically(path, text + "\n}\n");
}

}  // namespace helm::ir
