#include "planner/stage_times.h"

#include <algorithm>

#include "cluster/device_groups.h"

namespace helm::planner {
namespace {

int64_t LayersTime(const PartTimes& times) {
  int64_t sum = 0;
  for (const Part& layer : times.layer) sum += layer.forward.inner.compute + layer.backward.inner.compute;
  return sum;
}

// Of these ranks of each stage, counted within it: [first, end).
Result<StageTimes> TimesOfRanks(const config::RunConfig& config, const ir::Strategy& strategy, int64_t first, int64_t end, PartBook& parts,
                                const Cancellation& cancellation) {
  const auto stages = static_cast<size_t>(strategy.pipeline);
  if (!cluster::HasGroups(config.cluster)) {
    HELM_ASSIGN_OR_RETURN(const PartTimes* times, parts.Of(strategy, cancellation));
    return StageTimes(stages, times);
  }
  const cluster::RankLayout layout = cluster::LayoutOf(config.cluster, strategy.groups);
  StageTimes times(stages, nullptr);
  for (size_t stage = 0; stage < stages; ++stage) {
    const int64_t before = static_cast<int64_t>(stage) * (strategy.world_size() / strategy.pipeline);
    for (const size_t group : cluster::GroupsIn(layout.GroupsOf(before + first, before + end))) {
      HELM_ASSIGN_OR_RETURN(const PartTimes* of_group, parts.InGroup(group).Of(strategy, cancellation));
      if (times[stage] == nullptr || LayersTime(*of_group) > LayersTime(*times[stage])) times[stage] = of_group;
    }
  }
  return times;
}

}  // namespace

Result<StageTimes> TimesOfStages(const config::RunConfig& config, const ir::Strategy& strategy, PartBook& parts,
                                 const Cancellation& cancellation) {
  return TimesOfRanks(config, strategy, 0, strategy.world_size() / strategy.pipeline, parts, cancellation);
}

Result<StageTimes> TimesOfShare(const config::RunConfig& config, const ir::Strategy& strategy, int64_t data_first, int64_t data_end,
                                PartBook& parts, const Cancellation& cancellation) {
  const int64_t ranks = strategy.world_size() / (strategy.pipeline * strategy.data);
  return TimesOfRanks(config, strategy, data_first * ranks, data_end * ranks, parts, cancellation);
}

}  // namespace helm::planner
