#include "planner/share_split.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "cluster/device_groups.h"
#include "model/chunks.h"
#include "planner/stage_split.h"
#include "planner/stage_times.h"
#include "planner/step_form.h"
#include "schedule/pipeline_schedule.h"

namespace helm::planner {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// Of the first kinds together, by micro-batches in units that all numbers of ranks are multiples of.
struct BestOfKind {
  std::vector<int64_t> longest;  // kNever: there is no such split
  std::vector<int64_t> own;      // of each rank of the last of these kinds
};

// Grows with the square of the units: 2,048 are a few milliseconds.
constexpr int64_t kUnitsMost = 2048;

// Forward and backward of one micro-batch, about.
constexpr int64_t kOpsOfLayer = 100;

BestOfKind WithKind(const BestOfKind& before, const RankKind& kind, int64_t unit) {
  const size_t units = before.longest.size();
  const auto step = static_cast<size_t>(kind.ranks / unit);
  BestOfKind row{std::vector<int64_t>(units, kNever), std::vector<int64_t>(units, 0)};
  for (size_t sum = 0; sum < units; ++sum) {
    for (size_t count = 1; count * step <= sum; ++count) {
      const int64_t others = before.longest[sum - count * step];
      if (others == kNever) continue;
      const int64_t longest = std::max(others, static_cast<int64_t>(count) * kind.time);
      // Of equals the most for this kind: the first have fewer.
      if (longest <= row.longest[sum]) {
        row.longest[sum] = longest;
        row.own[sum] = static_cast<int64_t>(count);
      }
    }
  }
  return row;
}

bool IsOpen(const config::RunConfig& config, const ir::Strategy& strategy) {
  const bool meets_once = strategy.zero <= 1 && strategy.fsdp_shard == 0 && strategy.expert == 1;
  const bool one_chunk = strategy.virtual_pipeline == 1 && !model::IsFolded(strategy) && strategy.schedule != "csv";
  return cluster::HasGroups(config.cluster) && config.software.framework == "helm" && meets_once && one_chunk && strategy.data > 1 &&
         strategy.overlap == "none" && !config.strategy_given.contains("micro_batches");
}

struct KindOfRank {
  std::vector<cluster::GroupSet> groups;  // by stage
  RankKind kind;
};

// Data-parallel ranks in runs that lie on the same groups.
Result<std::vector<KindOfRank>> KindsOf(const config::RunConfig& config, const ir::Strategy& strategy, PartBook& parts,
                                        const Cancellation& cancellation) {
  const cluster::RankLayout layout = cluster::LayoutOf(config.cluster, strategy.groups);
  const int64_t of_stage = strategy.world_size() / strategy.pipeline, of_data_rank = of_stage / strategy.data;
  std::vector<KindOfRank> kinds;
  for (int64_t data_rank = 0; data_rank < strategy.data; ++data_rank) {
    std::vector<cluster::GroupSet> groups;
    for (int64_t stage = 0; stage < strategy.pipeline; ++stage) {
      const int64_t first = stage * of_stage + data_rank * of_data_rank;
      groups.push_back(layout.GroupsOf(first, first + of_data_rank));
    }
    if (!kinds.empty() && kinds.back().groups == groups) {
      ++kinds.back().kind.ranks;
      continue;
    }
    HELM_ASSIGN_OR_RETURN(const StageTimes times, TimesOfShare(config, strategy, data_rank, data_rank + 1, parts, cancellation));
    kinds.push_back({std::move(groups), {1, SlowestStage(config, strategy, times).picoseconds()}});
  }
  return kinds;
}

// Whether the step can be written out, as one with shares has to be (planner/step_form.cc): ranks of a kind run one program.
bool IsWrittenOut(const config::RunConfig& config, const std::vector<int64_t>& counts) {
  const int64_t micro_batches = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  return micro_batches <= kOpsWrittenOutMost / (kOpsOfLayer * config.model.layers);
}

bool IsFasterThanEqual(const std::vector<RankKind>& kinds, const std::vector<int64_t>& counts, int64_t equal) {
  int64_t longest = 0, longest_equal = 0;
  for (size_t kind = 0; kind < kinds.size(); ++kind) {
    longest = std::max(longest, counts[kind] * kinds[kind].time);
    longest_equal = std::max(longest_equal, equal * kinds[kind].time);
  }
  return longest < longest_equal;
}

}  // namespace

std::optional<std::vector<int64_t>> FastestShares(const std::vector<RankKind>& kinds, int64_t micro_batches) {
  int64_t unit = 0;
  for (const RankKind& kind : kinds) unit = std::gcd(unit, kind.ranks);
  if (unit == 0 || micro_batches % unit != 0 || micro_batches / unit > kUnitsMost) return std::nullopt;
  const auto units = static_cast<size_t>(micro_batches / unit);
  std::vector<BestOfKind> rows = {{std::vector<int64_t>(units + 1, kNever), {}}};
  rows.front().longest[0] = 0;
  for (const RankKind& kind : kinds) rows.push_back(WithKind(rows.back(), kind, unit));
  if (rows.back().longest[units] == kNever) return std::nullopt;
  std::vector<int64_t> counts(kinds.size());
  size_t left = units;
  for (size_t kind = kinds.size(); kind-- > 0;) {
    counts[kind] = rows[kind + 1].own[left];
    left -= static_cast<size_t>(counts[kind] * (kinds[kind].ranks / unit));
  }
  return counts;
}

Result<std::optional<ir::Strategy>> WithFastestShares(const config::RunConfig& config, const ir::Strategy& strategy, PartBook& parts,
                                                      const Cancellation& cancellation) {
  if (!IsOpen(config, strategy)) return std::optional<ir::Strategy>();
  HELM_ASSIGN_OR_RETURN(const std::vector<KindOfRank> runs, KindsOf(config, strategy, parts, cancellation));
  std::vector<RankKind> kinds;
  for (const KindOfRank& run : runs) kinds.push_back(run.kind);
  const auto counts = FastestShares(kinds, config.workload.global_batch / strategy.micro_batch);
  if (!counts || !IsFasterThanEqual(kinds, *counts, MicroBatches(config.workload, strategy)) || !IsWrittenOut(config, *counts)) {
    return std::optional<ir::Strategy>();
  }
  std::optional<ir::Strategy> shared = strategy;
  for (size_t kind = 0; kind < kinds.size(); ++kind) {
    // An interleaved pipeline wants whole groups of micro-batches.
    if (!schedule::PipelineSchedules(strategy, (*counts)[kind]).ok()) return std::optional<ir::Strategy>();
    shared->micro_batches.insert(shared->micro_batches.end(), static_cast<size_t>(kinds[kind].ranks), (*counts)[kind]);
  }
  return shared;
}

}  // namespace helm::planner
