#include "planner/reserved_memory.h"

#include <algorithm>

#include "schedule/materialise.h"
#include "sim/allocator_replay.h"
#include "sim/task_costs.h"

namespace helm::planner {
namespace {

// Enough to fill a pipeline and to see it full: 1F1B fills in as many micro-batches as stages; with interleaving a whole number of groups.
int64_t MicroBatchesReplayed(const ir::Plan& plan) {
  const int64_t all = MicroBatches(plan.workload, plan.strategy);
  return ReplaysWholeStep(plan) ? all : std::min(all, 3 * plan.strategy.pipeline);
}

}  // namespace

bool ReplaysWholeStep(const ir::Plan& plan) { return plan.strategy.schedule == "gpipe" || plan.strategy.schedule == "csv"; }

Result<std::vector<Bytes>> ReservedMemory(const ir::Plan& plan, sim::PriceBook& prices, Bytes library_workspace) {
  ir::Plan few = plan;
  few.program_hash.clear();
  few.workload.global_batch = MicroBatchesReplayed(plan) * plan.strategy.micro_batch * plan.strategy.data;
  HELM_ASSIGN_OR_RETURN(const ir::StepPrograms step, schedule::Materialise(few));
  HELM_ASSIGN_OR_RETURN(const std::vector<sim::TaskCosts> costs, sim::PriceStep(step, prices));
  sim::AllocatorReplayOptions options;
  options.library_workspace = library_workspace;
  std::vector<Bytes> reserved;
  for (size_t c = 0; c < step.classes.size(); ++c) {
    HELM_ASSIGN_OR_RETURN(const auto usage, sim::ReplayAllocator(step.classes[c], costs[c], options));
    reserved.push_back(usage.back().reserved_peak);
  }
  return reserved;
}

}  // namespace helm::planner
