#include "planner/step_form.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "ir/schedule_check.h"
#include "model/parameter_plan.h"
#include "planner/steady_state.h"
#include "schedule/materialise.h"
#include "schedule/materialise_excerpt.h"
#include "sim/compose.h"

namespace helm::planner {
namespace {

// 1,234,567: of numbers whose size is the point.
std::string Grouped(int64_t number) {
  std::string text = fmt::format("{}", number);
  for (auto place = static_cast<int64_t>(text.size()) - 3; place > 0; place -= 3) text.insert(static_cast<size_t>(place), ",");
  return text;
}

class StepSimulator {
 public:
  StepSimulator(const ir::Plan& plan, const model::ModelSpec& model, ir::DeviceKind device, sim::PriceBook& prices,
                const sim::SimulationOptions& options, int64_t ops_most)
      : plan_(plan), model_(model), device_(device), prices_(prices), options_(options), ops_most_(ops_most) {}

  Result<SimulatedStep> Run(StepForm form) {
    if (form == StepForm::kWrittenOut) return WriteOut();
    HELM_RETURN_IF_ERROR(Compose());
    if (form == StepForm::kTemplates && !composed_ops_) return UnavailableError(result_.not_composed_because);
    if (form == StepForm::kBySize) {
      HELM_ASSIGN_OR_RETURN(const bool large, IsLarge());
      if (!large) return WriteOut();
    }
    if (!composed_ops_) HELM_RETURN_IF_ERROR(Jump());
    if (form == StepForm::kBySize && result_.not_written_out_because.empty()) return WriteOut();  // it could not jump
    return std::move(result_);
  }

 private:
  // Fills in the number of operators, unless the step cannot be composed.
  Status Compose() {
    const bool contends = device_ == ir::DeviceKind::kCuda && options_.engine != sim::Engine::kStatic;
    result_.not_composed_because = WhyNotComposed(model_, plan_.workload, plan_.strategy, contends);
    if (!result_.not_composed_because.empty()) return OkStatus();
    if (device_ == ir::DeviceKind::kCpu && options_.overlap_losses.measured_pairs > 0) {
      result_.not_composed_because = "what runs at once on a CPU is timed by measured pairs";
      return OkStatus();
    }
    const auto left_out = contends ? schedule::LayersLeftOut::kMostButInLast : schedule::LayersLeftOut::kMost;
    HELM_ASSIGN_OR_RETURN(sim::StepExcerpt excerpt, schedule::MaterialiseExcerpt(plan_, model_, device_, left_out, options_.cancellation));
    HELM_ASSIGN_OR_RETURN(sim::Composition composition, sim::ComposeStep(excerpt, prices_, options_));
    result_.not_composed_because = composition.not_applicable;
    if (!composition.simulation) return OkStatus();
    composed_ops_ = composition.ops;
    result_.simulation = *std::move(composition.simulation);
    result_.programs = std::move(excerpt.programs);
    return OkStatus();
  }

  // About: where it could not be composed, as its first micro-batches tell.
  Result<bool> IsLarge() {
    int64_t ops = composed_ops_.value_or(0);
    if (!composed_ops_ && MayJump(plan_)) {
      HELM_ASSIGN_OR_RETURN(ops, EstimateOps(plan_, options_.cancellation));
    }
    if (ops > ops_most_) {
      result_.not_written_out_because =
          fmt::format("it has {}{} operators, {} at most are written out; {}", composed_ops_ ? "" : "about ", Grouped(ops),
                      Grouped(ops_most_), composed_ops_ ? "composed of templates" : "its first micro-batches tell of the others");
    }
    return ops > ops_most_;
  }

  Status Jump() {
    HELM_ASSIGN_OR_RETURN(SteadyState state, SimulateSteadyState(plan_, prices_, options_));
    if (!state.jumped) result_.not_written_out_because.clear();
    result_.simulation = std::move(state.simulation);
    result_.programs = std::move(state.step);
    return OkStatus();
  }

  Result<SimulatedStep> WriteOut() {
    result_ = {.written_out = true};
    HELM_ASSIGN_OR_RETURN(result_.programs, schedule::Materialise(plan_, options_.cancellation));
    HELM_ASSIGN_OR_RETURN(result_.simulation, sim::Simulate(result_.programs, prices_, options_));
    return std::move(result_);
  }

  const ir::Plan& plan_;
  const model::ModelSpec& model_;
  const ir::DeviceKind device_;
  sim::PriceBook& prices_;
  const sim::SimulationOptions& options_;
  const int64_t ops_most_;
  std::optional<int64_t> composed_ops_;  // none: it could not be composed
  SimulatedStep result_;
};

}  // namespace

std::string WhyNotComposed(const model::ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy, bool contends) {
  // What a stage has gathered stays from the first of its actions that needs it to the last.
  if (model::ShardingOf(strategy).gradients && strategy.pipeline > 1) return "gradients or parameters are sharded in a pipeline";
  if (!strategy.micro_batches.empty()) return "its data-parallel ranks have different numbers of micro-batches";
  // An excerpt tells of the first and the last micro-batch by their numbers.
  if (!std::ranges::all_of(strategy.schedule_rows, ir::Ascends)) return "its schedule does not run micro-batches in order";
  if (strategy.overlap == "strands") return "a forward and a backward of it run beside each other";
  if (workload.kind == "prefill") return "it is the part of a step that a prefill computes";
  if (strategy.overlap == "gradient_buckets") return "its reductions of gradients are joined";  // over layers that an excerpt leaves out
  if (ir::IsTiled(strategy)) return "the tiles of its layers overlap";                          // a layer of one with the next of another
  // Keys and values travel beside the attention of every layer: what a stage waits for moves them, up to 2 % of a short step (property
  // test).
  if (contends && strategy.context > 1 && strategy.pipeline > 1) {
    return "its sequences are split over ranks of a pipeline, and what they exchange runs beside kernels";
  }
  // Only a dense layer ends in a buffer of communication then, and what is told by another layer would free the wrong kind of memory.
  if (model.moe.experts > 0 && model::HasDenseLayers(model) && strategy.sequence_parallel) {
    return "it has dense layers and layers with experts, with sequence parallelism";
  }
  return "";
}

Result<SimulatedStep> SimulateStep(const ir::Plan& plan, const model::ModelSpec& model, ir::DeviceKind device, sim::PriceBook& prices,
                                   const sim::SimulationOptions& options, StepForm form, int64_t ops_most) {
  return StepSimulator(plan, model, device, prices, options, ops_most).Run(form);
}

}  // namespace helm::planner
