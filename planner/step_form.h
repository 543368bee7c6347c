// SimulateStep: the simulation of a plan's step in the form that suits its reader: written out, composed of templates, or by its size.
//
// What is reported of a chosen plan is written out (DESIGN section 5, rule 8), as long as that takes neither minutes nor gigabytes.
#pragma once

#include <cstdint>
#include <string>

#include "core/status.h"
#include "ir/plan.h"
#include "ir/step_programs.h"
#include "model/model_spec.h"
#include "sim/price_book.h"
#include "sim/simulate.h"

namespace helm::planner {

// Steps of up to so many operators, of all rank classes together, are written out by StepForm::kBySize: about ten seconds and 1.6 GB.
inline constexpr int64_t kOpsWrittenOutMost = 1'000'000;

enum class StepForm : uint8_t {
  kWrittenOut,  // every operator
  kComposed,    // of templates (sim/compose.h); where they do not apply written out, but for many micro-batches (planner/steady_state.h)
  kTemplates,   // of templates or not at all: kUnavailable where they do not apply
  kBySize,      // written out up to kOpsWrittenOutMost operators, else composed
};

struct SimulatedStep {
  ir::StepPrograms programs;  // of all operators where written_out, else of an excerpt or of fewer micro-batches
  sim::Simulation simulation;
  bool written_out = false;
  std::string not_composed_because;     // empty: it was, or was not to be
  std::string not_written_out_because;  // empty: it was, or was not to be
};

// Why templates cannot tell of a step like this one, as far as is known before it is lowered; empty: they may. `contends`: ops that run at
// the same time slow each other down.
std::string WhyNotComposed(const model::ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy, bool contends);

// `model`: the plan's, read. `device`: of the cluster. A timeline is recorded of a step that is written out, if `options` ask for it. By
// size, `ops_most` operators are written out.
Result<SimulatedStep> SimulateStep(const ir::Plan& plan, const model::ModelSpec& model, ir::DeviceKind device, sim::PriceBook& prices,
                                   const sim::SimulationOptions& options, StepForm form, int64_t ops_most = kOpsWrittenOutMost);

}  // namespace helm::planner
