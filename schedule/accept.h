// RunPassesIfBetter: runs passes one after the other and keeps what they made only where the simulator finds the step faster and within the
// memory budget; otherwise the step is as it was, and the reason says why.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "ir/step_programs.h"
#include "sim/price_book.h"
#include "sim/simulate.h"

namespace helm::schedule {

struct Acceptance {
  ir::StepPrograms step;
  bool accepted = false;
  Duration time_before, time_after;
  Bytes peak_before, peak_after;
  std::string reason;                // in words, with both numbers
  std::vector<std::string> choices;  // what the passes chose, each with its reason
};

// REQUIRES: VerifyStep(step) is ok; prices.layout() == options.layout.
Result<Acceptance> RunPassesIfBetter(const ir::StepPrograms& step, const std::vector<std::string>& passes, sim::PriceBook& prices,
                                     sim::SimulationOptions options, std::optional<Bytes> memory_budget);

}  // namespace helm::schedule
