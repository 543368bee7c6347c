#include "schedule/accept.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "schedule/pass.h"

namespace helm::schedule {

Result<Acceptance> RunPassesIfBetter(const ir::StepPrograms& step, const std::vector<std::string>& passes, sim::PriceBook& prices,
                                     sim::SimulationOptions options, std::optional<Bytes> memory_budget) {
  options.record_timeline = false;
  HELM_ASSIGN_OR_RETURN(const sim::Simulation before, sim::Simulate(step, prices, options));
  ir::StepPrograms changed = step;
  std::vector<std::string> reasons;
  PassContext context{
      .prices = &prices, .overlap_losses = options.overlap_losses, .memory_budget = {}, .memory_more = {}, .reasons = &reasons};
  if (memory_budget) context.memory_more = Bytes(std::max<int64_t>(memory_budget->count() - before.peak.bytes.count(), 0));
  for (const std::string& pass : passes) {
    for (ir::Program& program : changed.classes) {
      HELM_ASSIGN_OR_RETURN(program, RunPass(pass, program, context));
    }
  }
  HELM_RETURN_IF_ERROR(ir::VerifyStep(changed));
  HELM_ASSIGN_OR_RETURN(const sim::Simulation after, sim::Simulate(changed, prices, options));
  const bool faster = after.makespan < before.makespan;
  const bool fits = !memory_budget || after.peak.bytes <= *memory_budget;
  Acceptance result{{}, faster && fits, before.makespan, after.makespan, before.peak.bytes, after.peak.bytes, "", std::move(reasons)};
  if (result.accepted) {
    result.step = std::move(changed);
  } else {
    result.step = step;
  }
  result.reason = fmt::format("{}: {} instead of {}, peak {} instead of {}", Join(passes, ", "), FormatDuration(after.makespan),
                              FormatDuration(before.makespan), FormatBytes(after.peak.bytes), FormatBytes(before.peak.bytes));
  if (!faster) result.reason += "; not faster, so the program stays as it was";
  if (faster && !fits)
    result.reason += fmt::format("; more than the {} allowed, so the program stays as it was", FormatBytes(*memory_budget));
  return result;
}

}  // namespace helm::schedule
