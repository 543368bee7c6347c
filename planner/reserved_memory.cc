#include "planner/reserved_memory.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>

#include "ir/schedule_check.h"
#include "model/parameter_plan.h"
#include "schedule/materialise.h"
#include "schedule/materialise_excerpt.h"
#include "sim/allocation_trace.h"
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
  // Strands have twice as many on the way (schedule/pipeline_schedule.cc).
  const int64_t filling = plan.strategy.overlap == "strands" ? 2 * stages : stages;
  return std::min(all, plan.strategy.virtual_pipeline > 1 ? 3 * stages : filling + kFull);
}

// Of each data-parallel rank: as many, where it has so many, and one more (a group of an interleaved pipeline) for each smaller number that
// others have, so that whoever has other numbers has them still: the shares stay what they are.
std::vector<int64_t> SharesReplayed(const ir::Plan& plan) {
  const std::vector<int64_t>& counts = plan.strategy.micro_batches;
  const std::set<int64_t> different(counts.begin(), counts.end());
  const int64_t most = MicroBatchesReplayed(plan), unit = plan.strategy.schedule == "interleaved-1f1b" ? plan.strategy.pipeline : 1;
  std::vector<int64_t> replayed;
  for (const int64_t count : counts) {
    const int64_t smaller = std::distance(different.begin(), different.find(count));
    replayed.push_back(std::min(count, most + smaller * unit));
  }
  return replayed;
}

// Whether three micro-batches can tell of the others: parameters that are gathered are so across the borders of actions.
bool IsTold(const ir::Plan& plan) {
  const ir::Strategy& strategy = plan.strategy;
  return plan.workload.kind == "training" && !model::ShardingOf(strategy).gradients && strategy.micro_batches.empty() &&
         !ir::HidesCommunication(strategy) && std::ranges::all_of(strategy.schedule_rows, ir::Ascends);
}

class Replayer {
 public:
  Replayer(sim::PriceBook& prices, const std::vector<Bytes>& library_workspaces)
      : prices_(prices), library_workspaces_(library_workspaces) {}

  Result<std::vector<Bytes>> Run(const ir::StepPrograms& step) const {
    HELM_ASSIGN_OR_RETURN(const std::vector<sim::TaskCosts> costs, sim::PriceStep(step, prices_));
    std::vector<Bytes> reserved;
    for (size_t c = 0; c < step.classes.size(); ++c) {
      HELM_ASSIGN_OR_RETURN(reserved.emplace_back(), ReservedOf(c, sim::TraceOf(step.classes[c], costs[c])));
    }
    return reserved;
  }

  Result<std::vector<Bytes>> Run(const sim::StepExcerpt& excerpt) const {
    HELM_ASSIGN_OR_RETURN(const std::vector<sim::TaskCosts> costs, sim::PriceStep(excerpt.programs, prices_));
    std::vector<Bytes> reserved;
    for (size_t c = 0; c < excerpt.told_by.size(); ++c) {
      const size_t from = excerpt.told_by[c];
      sim::TaskCosts own = costs[from];
      if (from != c) {
        HELM_RETURN_IF_ERROR(sim::PriceAsClass(excerpt.programs, from, c, prices_, own));
      }
      HELM_ASSIGN_OR_RETURN(const sim::AllocationTrace trace, sim::TraceOf(excerpt, c, own));
      HELM_ASSIGN_OR_RETURN(reserved.emplace_back(), ReservedOf(c, trace));
    }
    return reserved;
  }

 private:
  Result<Bytes> ReservedOf(size_t rank_class, const sim::AllocationTrace& trace) const {
    const sim::AllocatorReplayOptions options{.library_workspace = library_workspaces_[rank_class]};
    HELM_ASSIGN_OR_RETURN(const std::vector<sim::AllocatorUsage> usage, sim::ReplayAllocator(trace, options));
    return usage.back().reserved_peak;
  }

  sim::PriceBook& prices_;
  const std::vector<Bytes>& library_workspaces_;
};

}  // namespace

bool ReplaysWholeStep(const ir::Plan& plan) { return plan.strategy.schedule == "gpipe" || plan.strategy.schedule == "csv"; }

Result<std::vector<Bytes>> ReservedMemory(const ir::Plan& plan, const model::ModelSpec& model, sim::PriceBook& prices,
                                          const std::vector<Bytes>& library_workspaces) {
  ir::Plan few = plan;
  few.program_hash.clear();
  if (few.strategy.micro_batches.empty()) {
    few.workload.global_batch = MicroBatchesReplayed(plan) * plan.strategy.micro_batch * plan.strategy.data;
  } else {
    few.strategy.micro_batches = SharesReplayed(plan);
    few.workload.global_batch =
        plan.strategy.micro_batch * std::accumulate(few.strategy.micro_batches.begin(), few.strategy.micro_batches.end(), int64_t{0});
  }
  const Replayer replayer(prices, library_workspaces);
  if (IsTold(plan)) {
    HELM_ASSIGN_OR_RETURN(const sim::StepExcerpt excerpt,
                          schedule::MaterialiseExcerpt(few, model, ir::DeviceKind::kCuda, schedule::LayersLeftOut::kNone));
    const auto reserved = replayer.Run(excerpt);
    if (reserved.ok()) return reserved;
  }
  HELM_ASSIGN_OR_RETURN(const ir::StepPrograms step, schedule::Materialise(few));
  return replayer.Run(step);
}

}  // namespace helm::planner
