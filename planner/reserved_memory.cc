#include "planner/reserved_memory.h"

#include <algorithm>

#include "schedule/materialise.h"
#include "sim/allocator_replay.h"
#include "sim/task_costs.h"

namespace helm::planner {
namespace {

// Enough to fill a pipeline and to see it full: 1F1B fills in as many micro-batches as stages, and a few more show the rest; with several
// chunks a stage it is groups of as many micro-batches as stages, and more of them are on the way.
int64_t MicroBatchesReplayed(const ir::Plan& plan) {
  const int64_t all = MicroBatches(plan.workload, plan.strategy);
  constexpr int64_t kFull = 4;
  if (ReplaysWholeStep(plan)) return all;
  const int64_t stages = plan.strategy.pipeline;
  return std::min(all, plan.strategy.virtual_pipeline > 1 ? 3 * stages : stages + kFull);
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
