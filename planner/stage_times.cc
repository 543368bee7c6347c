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

}  // namespace

Result<StageTimes> TimesOfStages(const config::RunConfig& config, const ir::Strategy& strategy, PartBook& parts,
                                 const Cancellation& cancellation) {
  const auto stages = static_cast<size_t>(strategy.pipeline);
  if (!cluster::HasGroups(config.cluster)) {
    HELM_ASSIGN_OR_RETURN(const PartTimes* times, parts.Of(strategy, cancellation));
    return StageTimes(stages, times);
  }
  const cluster::RankLayout layout = cluster::LayoutOf(config.cluster, strategy.groups);
  const int64_t ranks = strategy.world_size() / strategy.pipeline;
  StageTimes times(stages, nullptr);
  for (size_t stage = 0; stage < stages; ++stage) {
    const auto first = static_cast<int64_t>(stage) * ranks;
    for (const size_t group : cluster::GroupsIn(layout.GroupsOf(first, first + ranks))) {
      HELM_ASSIGN_OR_RETURN(const PartTimes* of_group, parts.InGroup(group).Of(strategy, cancellation));
      if (times[stage] == nullptr || LayersTime(*of_group) > LayersTime(*times[stage])) times[stage] = of_group;
    }
  }
  return times;
}

}  // namespace helm::planner
