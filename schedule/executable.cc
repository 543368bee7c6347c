#include "schedule/executable.h"

#include <fmt/format.h>

#include "ir/strategy_text.h"

namespace helm::schedule {
namespace {

// Without a capacity a token always finds its experts, so their numbers of tokens are known only in the step.
Status CheckFixedShapes(const model::ModelSpec& model, const std::string& plan_path) {
  if (model.moe.experts == 0 || model.moe.capacity_factor > 0) return OkStatus();
  return InvalidError(
      fmt::format("{}: error: the model's experts take any number of tokens, and helm-exec runs programs of fixed shapes only (dimensions "
                  "bound in the step are not supported by this version); the plan can be simulated\nfix: give the model a capacity, such "
                  "as moe: {{capacity_factor: 1.25}}; tokens beyond it are dropped",
                  plan_path));
}

Status CheckNothingDropped(const ir::Plan& plan, const std::string& plan_path) {
  if (plan.software.attention_dropout == 0 && plan.software.hidden_dropout == 0) return OkStatus();
  return InvalidError(
      fmt::format("{}: error: the plan's software drops activations (attention_dropout {}, hidden_dropout {}); masks are simulated, not "
                  "run: they would "
                  "depend on how the model is split\nfix: make the plan with attention_dropout: 0 and hidden_dropout: 0",
                  plan_path, plan.software.attention_dropout, plan.software.hidden_dropout));
}

Status CheckOneKindOfNode(const ir::Plan& plan, const std::string& plan_path) {
  if (!plan.cluster.contains("groups")) return OkStatus();
  return InvalidError(
      fmt::format("{}: error: not supported by this version: to run a plan for a cluster of several kinds of nodes; helm-sim prices it\n"
                  "fix: make a plan for one kind of node",
                  plan_path));
}

Status CheckTraining(const ir::Plan& plan, const std::string& plan_path) {
  if (plan.workload.kind == "training") return OkStatus();
  return InvalidError(
      fmt::format("{}: error: not supported by this version: to run workload.kind '{}'; helm-sim prices it\nfix: kind: training", plan_path,
                  plan.workload.kind));
}

}  // namespace

Status CheckExecutable(const ir::Plan& plan, const model::ModelSpec& model, const std::string& plan_path) {
  HELM_RETURN_IF_ERROR(CheckTraining(plan, plan_path));
  HELM_RETURN_IF_ERROR(CheckOneKindOfNode(plan, plan_path));
  HELM_RETURN_IF_ERROR(CheckNothingDropped(plan, plan_path));
  return CheckFixedShapes(model, plan_path);
}

// Sequence and context parallelism route the parts of a sequence apart, so capacity and balancing loss are not those of the unsplit model.
Status CheckVerifiable(const ir::Plan& plan, const model::ModelSpec& model, const std::string& plan_path) {
  if (plan.workload.quantization != ir::Quantization::kNone) {
    return InvalidError(
        fmt::format("{}: error: --verify has no bound for dtype {}: split and unsplit products round differently\nfix: verify the same "
                    "strategy with dtype: bf16",
                    plan_path, ir::DataTypeWord(plan.workload)));
  }
  const model::MixtureOfExperts& moe = model.moe;
  const ir::Strategy& strategy = plan.strategy;
  const double all = static_cast<double>(moe.experts) / static_cast<double>(moe.top_k);
  if (moe.experts > 0 && ir::IsTiled(strategy) && moe.capacity_factor < all) {
    return InvalidError(fmt::format(
        "{}: error: --verify compares with the unsplit model, and with overlap {} each tile drops tokens by itself\nfix: verify "
        "with overlap: none, or with moe: {{capacity_factor: {}}}",
        plan_path, strategy.overlap, all));
  }
  if (moe.experts == 0 || (!strategy.sequence_parallel && strategy.context == 1)) return OkStatus();
  if (moe.capacity_factor >= all && moe.aux_loss == 0) return OkStatus();
  return InvalidError(
      fmt::format("{}: error: --verify compares with the unsplit model, and with sequence_parallel or context each rank drops and "
                  "balances tokens by itself\nfix: verify without them, or with moe: {{capacity_factor: {}, aux_loss: 0}}",
                  plan_path, all));
}

}  // namespace helm::schedule
