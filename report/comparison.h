// Comparison: what two timelines say about each other, in numbers: step time, peak memory, each op, each category, exposed communication,
// stages, ranks, critical path. A value: report/render_{text,json,html}.cc print it.
//
// "Predicted" and "measured" are the first and second timeline, whatever they are: two of one plan or of two plans, predictions or
// measurements. A difference is always predicted - measured, an error (predicted - measured) / measured. Invariants: every duration of an
// op is the median over the ranks of its timeline (a predicted timeline may hold one representative rank, which stands for all); busy and
// exposed times are measures of unions of intervals, never sums of durations; the parts of a Breakdown add up exactly to the rank's
// makespan.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/units.h"
#include "ir/timeline.h"

namespace helm::report {

// The same quantity of both timelines.
template <typename T>
struct Sides {
  T predicted{};
  T measured{};
  bool operator==(const Sides&) const = default;
};

// (predicted - measured) / measured; nothing when measured is zero.
std::optional<double> RelativeError(Duration predicted, Duration measured);
std::optional<double> RelativeError(Bytes predicted, Bytes measured);

// Where a rank's step goes. compute + optimizer + exposed_communication + bubble + host == makespan.
struct Breakdown {
  Duration compute;                // a compute stream is busy, outside the optimizer
  Duration optimizer;              // a compute stream is busy with ops of the phase "optimizer"
  Duration exposed_communication;  // compute streams idle while a collective is in flight or waited for, or a message under way
  Duration bubble;  // idle for another stage: a message is waited for that its sender has not sent, or other stages still run
  Duration host;    // the rest: launching, views, nothing to do
  bool operator==(const Breakdown&) const = default;
};

struct RankUse {
  int32_t rank = 0;
  int32_t stage = 0;            // index of its stage (ir/timeline_ranks.h); -1: the rank has no event
  Duration makespan;            // from the step's start to its recorded end, or to the end of the rank's last event if that is later
  Duration compute_busy;        // union over the compute streams, optimizer included
  Duration communication_busy;  // union over the communication streams
  Duration idle;                // makespan - compute_busy
  Breakdown breakdown;
  Bytes memory_bytes_peak;
  bool operator==(const RankUse&) const = default;
};

// Shares of the summed durations of ops and collectives by what the number rests on; all zero when every op was observed.
struct SourceShares {
  double measured = 0;
  double interpolated = 0;
  double analytic = 0;
  bool operator==(const SourceShares&) const = default;
};

// A stretch of the critical path: from `start` to `end` the step's length hung on this op (none: on the gap before the next one).
struct PathStep {
  ir::OpId op;
  int32_t stream = -1;  // where the op ran then; -1 in a gap
  Duration start;
  Duration end;
  int32_t rank = 0;
  bool operator==(const PathStep&) const = default;
};

struct CriticalPath {
  int32_t rank = 0;             // the rank that ended last; a step may be another's where a message came from there
  std::vector<PathStep> steps;  // from first to last, without holes
  // compute + communication + host == the end of the last step.
  Duration compute;
  Duration communication;
  Duration host;  // launching, views, and gaps in which nothing ran
};

// One timeline, summed up.
struct Summary {
  std::string title;  // unlike the other timeline's
  std::string plan;
  std::string device;
  std::string program_hash;
  // The lower median of `steps`; without steps the makespan. On a GPU steps are measured without the recording that the timeline comes
  // from.
  Duration step_time;
  Duration makespan;            // of the step that the timeline shows
  std::vector<Duration> steps;  // each measured step
  Bytes memory_bytes_peak;
  std::optional<Bytes> memory_bytes_reserved;               // GPU: of the same rank
  std::optional<Bytes> memory_bytes_outside;                // likewise, beyond the allocator's
  int32_t memory_rank = 0;                                  // where the peak is
  std::array<int64_t, ir::kStorageRoles> memory_at_peak{};  // by storage role; all zero when the timeline has no samples
  Breakdown breakdown;                                      // of `breakdown_rank`
  int32_t breakdown_rank = 0;  // the measured side's median rank by makespan (the lower one of two), on the other side its counterpart
  std::vector<RankUse> ranks;
  SourceShares sources;
  CriticalPath critical_path;
};

struct OpRow {
  Sides<ir::OpId> op;        // none: the op is not in that timeline
  ir::TimelineOp what;       // from the predicted timeline, or from the measured one when only that has it
  Sides<Duration> start;     // median over ranks
  Sides<Duration> duration;  // median over ranks
  Duration difference() const { return duration.predicted - duration.measured; }
};

// Ops that have something in common, in each step: paired or not, whichever ranks run them.
struct CategoryRow {
  std::string name;
  Sides<int64_t> ops;        // that take time
  Sides<Duration> duration;  // sum over the ops
  Duration difference() const { return duration.predicted - duration.measured; }
};

// The same work in all layers and micro-batches: ops of one label, operator and phase.
struct Work {
  std::string label;
  std::string target;
  std::string phase;
  auto operator<=>(const Work&) const = default;
};

// The ops that do it in each step, paired or not, whichever ranks run them.
struct WorkRow {
  Work work;
  Sides<int64_t> ops;        // that take time
  Sides<Duration> duration;  // sum over the ops
  Duration difference() const { return duration.predicted - duration.measured; }
};

// A share of the difference of the step times: what the critical paths spend on one thing.
struct AttributionRow {
  std::string category;  // of CategoryNames()
  Sides<ir::OpId> op;    // none on both sides in a row of a category
  ir::TimelineOp what;   // of the op
  Sides<Duration> on_path;
  Duration difference() const { return on_path.predicted - on_path.measured; }
};

// The same, of the ops of one category that do the same work.
struct PathWorkRow {
  std::string category;
  WorkRow row;  // its ops and durations are those on the paths
};

// Why one step is longer than the other (report/attribution.h has the rule). The differences of `categories` add up to `difference`
// exactly, and those of `ops`, and of `work`, to the categories they are in; gaps and the time beyond the path belong to no op.
struct Attribution {
  Duration difference;                     // makespan predicted - measured
  std::vector<AttributionRow> categories;  // those with time on a path, in the order of CategoryNames()
  std::vector<PathWorkRow> work;           // by falling absolute difference, ties by category and work
  std::vector<AttributionRow> ops;         // by falling absolute difference, ties by op
};

// One stage in one timeline, over its ranks.
struct StageUse {
  int64_t ranks = 0;
  // Medians over the ranks, each of its own (the lower one of two).
  Duration makespan;
  Duration compute_busy;
  Duration exposed_communication;
  Duration bubble;
  Bytes memory_bytes_peak;  // the largest
  bool operator==(const StageUse&) const = default;
};

// One rank on both sides. Where a side does not have it, the rank of that side which stands for it (report/stage_table.h has the rule), or
// none: `use`'s own `rank` says which.
struct RankRow {
  int32_t rank = 0;
  Sides<std::optional<RankUse>> use;
};

struct Comparison {
  Sides<Summary> sides;
  Attribution attribution;
  std::vector<Sides<StageUse>> stages;  // stage i of both; one that is in one timeline only has no ranks in the other
  std::vector<RankRow> ranks;           // all ranks of both, by rank
  std::optional<double> step_time_error;
  std::optional<double> peak_memory_error;
  // False: two programs, whose ops are paired by operator, label, phase, layer, micro-batch and occurrence.
  bool matched_by_id = true;
  // The first foretells the second: one program, timelines of two kinds. Otherwise a relative difference is no error of anybody's.
  bool foretells = true;
  std::vector<OpRow> rows;            // matched ops that take time in at least one timeline, in order of the predicted op id
  std::vector<OpRow> predicted_only;  // in order of op id
  std::vector<OpRow> measured_only;
  // Each sorted by falling measured duration, ties by name.
  std::vector<CategoryRow> by_target;
  std::vector<CategoryRow> by_label;
  std::vector<CategoryRow> by_phase;
  std::vector<CategoryRow> by_kind;  // "compute", "collective", "wait", "view"
  // By falling absolute difference, ties by work. Waits are left out: they repeat a collective's difference.
  std::vector<WorkRow> work;
};

}  // namespace helm::report
