// Contention: what tasks that run at the same time on one rank take from each other, found by the event engine
// (sim/event_engine.h).
//
// Kernels slow down while a collective runs beside them and the other way round (cost/overlap_model.h), and collectives that use the same
// links at once share them by max-min fairness: the links inside the node, or the rank's network cards. (That the groups beside an own one
// share a node's cards is in their price: ir::CollectiveSignature.) Collectives of less than kLatencyBytes are latency and hold no link.
// Not shared: messages and collectives between pipeline stages, whose two ends would have to slow down together.
//
// Since the order on every stream is fixed, the result is a graph for the static engine with longer durations: every task starts when its
// predecessors have ended, in both.
#pragma once

#include <cstdint>
#include <optional>

#include "core/status.h"
#include "ir/step_programs.h"
#include "sim/simulate.h"
#include "sim/step_graph.h"

namespace helm::sim {

inline constexpr int64_t kLatencyBytes = int64_t{1} << 20;

// Whether tasks of these programs take from each other. On a CPU only where pairs were measured (cost/pair_losses.h).
bool Contends(const ir::StepPrograms& step, const SimulationOptions& options);

// Whether, in the times that the static engine finds, any two tasks that take from each other overlap. Without that contention changes
// nothing. `finish`: of LongestPath.
bool AnyOverlap(const ir::StepPrograms& step, const StepGraph& step_graph, const std::vector<int64_t>& finish);

// Lengthens the durations of the graph. `as_class`: the graph is of one class, whose program stands for that of another one on its device
// and its links. REQUIRES: Contends(step, options).
Status ApplyContention(const ir::StepPrograms& step, const SimulationOptions& options, StepGraph& step_graph,
                       std::optional<size_t> as_class = {});

}  // namespace helm::sim
