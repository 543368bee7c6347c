// Timeline: what ran when on each rank, and how much memory was live. The simulator predicts one, the executor records one; whoever
// compares two does not know which was real. Rows line up by op id, since both come from the same program.
//
// Invariant: events of one (rank, stream) do not overlap and are sorted by start. Times count from the start of the step.
// On disk JSON, `format: helm-timeline/1` (docs/formats/timeline.md).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/status.h"
#include "core/units.h"
#include "ir/step_programs.h"

namespace helm::ir {

// A row of a rank's timeline: "host", "compute" (0..n), or "communication" of one group.
struct Stream {
  enum class Kind : uint8_t { kHost, kCompute, kCommunication };
  Kind kind = Kind::kCompute;
  int32_t index = 0;  // compute stream number, or index of the group in the program
  std::string name;   // "compute", "communication.tensor", ...
  bool operator==(const Stream&) const = default;
};

std::string_view Name(Stream::Kind kind);  // "host", "compute", "communication"

struct TimelineEvent {
  int32_t rank = 0;
  int32_t stream = 0;  // index into Timeline::streams
  OpId op;             // index into Timeline::ops
  Duration start;
  Duration duration;
  bool operator==(const TimelineEvent&) const = default;
};

// What a reader needs to know of an op without the program.
struct TimelineOp {
  std::string target;
  std::string label;
  std::string kind;    // Name(OpKind)
  std::string phase;   // Name(Phase)
  std::string source;  // predicted: "measured", "interpolated", "analytic"; measured: "observed"
  int32_t layer = -1;
  int32_t micro_batch = -1;
  bool operator==(const TimelineOp&) const = default;
};

constexpr size_t kStorageRoles = 6;  // values of StorageRole

// Bytes live from `time` on, by storage role.
struct MemorySample {
  int32_t rank = 0;
  OpId op;  // after which op's launch; none: before the first
  Duration time;
  std::array<int64_t, kStorageRoles> bytes{};
  bool operator==(const MemorySample&) const = default;
};

struct RankSummary {
  int32_t rank = 0;
  Duration makespan;        // of the step on this rank
  Bytes memory_bytes_peak;  // allocated
  // GPU: reserved by the caching allocator, and in use on the device beyond that (contexts, libraries); none where nobody says.
  std::optional<Bytes> memory_bytes_reserved;
  std::optional<Bytes> memory_bytes_outside;
  bool operator==(const RankSummary&) const = default;
};

struct Timeline {
  std::string title;  // "predicted", "measured"
  std::string plan;   // Describe(strategy)
  std::string program_hash;
  std::string device;
  Duration makespan;            // of the step over all ranks; for a measured timeline the median over steps
  std::vector<Duration> steps;  // makespan of each measured step
  // Of the program: who runs a collective together (ir/timeline_ranks.h). Empty in files of before: then nobody knows.
  std::vector<MeshDimension> mesh;
  std::vector<Group> groups;
  std::vector<Stream> streams;
  std::vector<TimelineOp> ops;
  std::vector<TimelineEvent> events;
  std::vector<MemorySample> memory;
  std::vector<RankSummary> ranks;
  nlohmann::ordered_json stamp;
  bool operator==(const Timeline&) const = default;
};

// The op table of a timeline of this program; `sources` may be empty (then "observed"). Of a step: of its classes, one after the other.
std::vector<TimelineOp> TimelineOps(const Program& program, const std::vector<std::string>& sources);
std::vector<TimelineOp> TimelineOps(const StepPrograms& step);

Bytes PeakBytes(const Timeline& timeline);  // maximum over ranks

// What to call two timelines beside each other: by their titles, numbered where both have the same ("predicted 1", "predicted 2").
std::pair<std::string, std::string> TitlesApart(const Timeline& first, const Timeline& second);

nlohmann::ordered_json ToJson(const Timeline& timeline);
// Strict: unknown keys, wrong types, columns of different lengths, ids out of range, events out of order are errors; the first one is
// reported.
Result<Timeline> TimelineFromJson(const nlohmann::ordered_json& document, std::string_view file);
Result<Timeline> ReadTimeline(const std::string& path);
Status WriteTimeline(const Timeline& timeline, const std::string& path);

}  // namespace helm::ir
