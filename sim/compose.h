// ComposeStep: time and memory of a step from templates and the order of its actions, without its ops.
//
// Each class walks its schedule; an action is a few products of small matrices (sim/max_plus.h), and the classes meet at messages and at
// collectives over several of them, by the rules of sim/step_graph.h. What runs once (the first and last micro-batch of a chunk, tables,
// optimizer) is run op by op. Nothing is rounded and nothing is assumed of how streams stand at the border of an action, so
//   makespan, peaks of memory, computation, optimizer, shares by source   are those of the step written out, to the picosecond and byte;
//   exposed communication, host, bubble                                   sum to what is left; of pieces that are repeated, idle time is
//     put down to communication first, as much as they have when nothing but their own stream holds them up, then to the host.
// The property test holds both against sim::Simulate (tests/planner/composition_test.cc).
//
// Where ops that run at the same time slow each other down (SimulationOptions::engine), they do so in the templates as if no other stage
// had to be waited for, and the excerpt must hold all layers of the last micro-batch. Makespan and times are then near those of the step
// written out, within 0.5 % (property test); a reduction that would run on while a stage waits for another one is refused.
//
// Where a program holds something that pieces cannot carry, composition says so and gives no number.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/status.h"
#include "sim/price_book.h"
#include "sim/simulate.h"
#include "sim/step_excerpt.h"

namespace helm::sim {

struct Composition {
  std::optional<Simulation> simulation;  // without critical path and timeline; its peak names no op
  std::string not_applicable;            // why there is none
  int64_t ops = 0;                       // of the step written out, all classes together
};

// Fails when prices are missing, or when it is cancelled. REQUIRES: prices.layout() == options.layout.
// `options.record_timeline` is ignored.
Result<Composition> ComposeStep(const StepExcerpt& excerpt, PriceBook& prices, const SimulationOptions& options);

}  // namespace helm::sim
