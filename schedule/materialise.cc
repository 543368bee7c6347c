#include "schedule/materialise.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cluster/cluster_reader.h"
#include "cluster/device_groups.h"
#include "cost/group_estimator.h"
#include "ir/program_text.h"
#include "ir/verify.h"
#include "model/lower.h"
#include "model/model_reader.h"
#include "schedule/pass.h"
#include "schedule/pipeline_schedule.h"
#include "sim/price_book.h"

namespace helm::schedule {
namespace {

Status CheckHash(const ir::StepPrograms& step, const std::string& expected) {
  if (expected.empty()) return OkStatus();
  const std::string found = ir::ProgramHash(step);
  if (found == expected) return OkStatus();
  return InvalidError(
      fmt::format("error: the plan's program has hash {}, the plan was made for {}: it was edited, or made by another version of "
                  "HELM\n  fix: make the plan again with helm-plan, or remove 'program_hash' to run it as this version understands it",
                  found, expected));
}

// What passes take an op to cost: the cluster's description and the tables that HELM ships, no measured ones, so that every reader of the
// plan makes the same program.
struct PassPrices {
  std::unique_ptr<cost::Estimator> estimator;
  sim::PriceBook book;
};
Result<PassPrices> PricesOf(const ir::Plan& plan, const cluster::Cluster& cluster) {
  HELM_RETURN_IF_ERROR(cluster::GroupOrder(cluster, plan.strategy.groups).status());
  HELM_ASSIGN_OR_RETURN(auto estimator, cost::MakeClusterEstimator(cluster, {}, {.host = cost::HostThreadOf(plan.software)}));
  sim::PriceBook book(*estimator, cluster::LayoutOf(cluster, plan.strategy.groups));
  return PassPrices{std::move(estimator), std::move(book)};
}

}  // namespace

Result<PlanParts> ReadParts(const ir::Plan& plan) {
  HELM_ASSIGN_OR_RETURN(model::ModelSpec model, model::ModelFromJson(plan.model));
  HELM_ASSIGN_OR_RETURN(cluster::Cluster cluster, cluster::ClusterFromJson(plan.cluster));
  return PlanParts{std::move(model), std::move(cluster)};
}

Result<ir::StepPrograms> Materialise(const ir::Plan& plan, const Cancellation& cancellation) {
  HELM_ASSIGN_OR_RETURN(const PlanParts parts, ReadParts(plan));
  const ir::Strategy& strategy = plan.strategy;
  HELM_RETURN_IF_ERROR(model::CheckStrategy(parts.model, plan.workload, strategy));
  const ir::DeviceKind device = parts.cluster.device.is_cpu ? ir::DeviceKind::kCpu : ir::DeviceKind::kCuda;
  std::optional<PassPrices> prices;
  PassContext passes;
  if (std::ranges::any_of(PassesOf(strategy), NeedsPrices)) {
    HELM_ASSIGN_OR_RETURN(PassPrices made, PricesOf(plan, parts.cluster));
    prices.emplace(std::move(made));
    passes.prices = &prices->book;
    passes.overlap_losses = cost::OverlapLossesOf(cluster::HasGroups(parts.cluster) ? parts.cluster.groups.front() : parts.cluster);
  }
  ir::StepPrograms step;
  const std::vector<int64_t> shares = ShareRanks(strategy);
  if (shares.size() > 1) step.share_ranks = shares;
  int64_t data_rank = 0;  // the first of the share
  for (const int64_t ranks : shares) {
    HELM_ASSIGN_OR_RETURN(const std::vector<ir::Schedule> schedules,
                          PipelineSchedules(strategy, MicroBatchesOf(plan.workload, strategy, data_rank)));
    data_rank += ranks;
    for (size_t stage = 0; stage < schedules.size(); ++stage) {
      HELM_ASSIGN_OR_RETURN(ir::Program program,
                            model::LowerStage(parts.model, plan.workload, plan.software, strategy, device, schedules[stage],
                                              static_cast<int64_t>(stage), /*excerpt=*/{}, cancellation));
      if (plan.workload.kind == "prefill") {
        HELM_ASSIGN_OR_RETURN(program, RunPass("forward_only", program));
      }
      HELM_ASSIGN_OR_RETURN(program, ApplyOverlap(strategy, std::move(program), passes));
      step.classes.push_back(std::move(program));
    }
  }
  HELM_RETURN_IF_ERROR(ir::VerifyStep(step, cancellation));
  HELM_RETURN_IF_ERROR(cancellation.Check());
  HELM_RETURN_IF_ERROR(CheckHash(step, plan.program_hash));
  return step;
}

ir::Plan UnsplitPlan(ir::Plan plan) {
  ir::Strategy unsplit;
  unsplit.micro_batch = plan.strategy.micro_batch;
  plan.strategy = unsplit;
  plan.program_hash.clear();
  plan.passes.clear();
  plan.prediction = {};
  return plan;
}

}  // namespace helm::schedule
