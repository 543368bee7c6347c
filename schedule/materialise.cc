#include "schedule/materialise.h"

#include <utility>

#include <fmt/format.h>

#include "cluster/cluster_reader.h"
#include "ir/program_text.h"
#include "ir/verify.h"
#include "model/lower.h"
#include "model/model_reader.h"
#include "schedule/pass.h"

namespace helm::schedule {
namespace {

Result<ir::Program> ApplyOverlap(const std::string& word, ir::Program program) {
  if (word == "none") return program;
  if (word == "serial") return RunPass("serial", program);
  return InvalidError(fmt::format("plan: error: overlap '{}' is not known to this version\nallowed: none, serial", word));
}

Status CheckHash(const ir::Program& program, const std::string& expected) {
  const std::string found = ir::ProgramHash(program);
  if (expected.empty() || found == expected) return OkStatus();
  return InvalidError(
      fmt::format("plan: error: its program has hash {}, the plan was made for {}: it was edited, or made by another version of "
                  "HELM.\nfix: make the plan again with helm-plan, or remove 'program_hash' to run it as this version understands it",
                  found, expected));
}

}  // namespace

Result<PlanParts> ReadParts(const ir::Plan& plan) {
  HELM_ASSIGN_OR_RETURN(model::ModelSpec model, model::ModelFromJson(plan.model));
  HELM_ASSIGN_OR_RETURN(cluster::Cluster cluster, cluster::ClusterFromJson(plan.cluster));
  return PlanParts{std::move(model), std::move(cluster)};
}

Result<ir::Program> Materialise(const ir::Plan& plan) {
  HELM_ASSIGN_OR_RETURN(const PlanParts parts, ReadParts(plan));
  HELM_RETURN_IF_ERROR(model::CheckStrategy(parts.model, plan.workload, plan.strategy));
  const ir::DeviceKind device = parts.cluster.device.is_cpu ? ir::DeviceKind::kCpu : ir::DeviceKind::kCuda;
  HELM_ASSIGN_OR_RETURN(ir::Program program, model::Lower(parts.model, plan.workload, plan.software, plan.strategy, device));
  HELM_RETURN_IF_ERROR(ir::Verify(program));
  HELM_ASSIGN_OR_RETURN(program, ApplyOverlap(plan.strategy.overlap, std::move(program)));
  HELM_RETURN_IF_ERROR(CheckHash(program, plan.program_hash));
  return program;
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
