// Simulate: predicts when each op of a step's programs runs, the step's makespan and its peak memory.
//
// One representative rank of each class is simulated: every member of a collective starts it at the representative's time; a message
// between two stages begins when both ends are ready (sim/step_graph.h). A collective over several classes (the gradient norm over the
// stages) starts at each stage's own time. Resources of a rank: the
// host thread that launches ops one after the other, compute streams, one communication stream per group. On a CPU the host thread is the
// compute stream, and a collective that would run beside computation shares the cores with it
// (SimulationOptions::communication_shares_cores). On a GPU, and on a CPU where pairs of them were measured, tasks that run at the same
// time may slow each other down (SimulationOptions::engine). Times are the longest path over the data, stream, host and wait edges
// (sim/static_engine.h); integer picoseconds, so the same input gives the same bytes. Always checks itself (DESIGN section 5, rule 3) and
// returns an internal error if a check fails.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "cluster/rank_layout.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "core/units.h"
#include "cost/estimator.h"
#include "cost/overlap_model.h"
#include "ir/step_programs.h"
#include "ir/timeline.h"
#include "sim/price_book.h"

namespace helm::sim {

// How tasks that run at the same time are timed.
enum class Engine : uint8_t {
  kStatic,     // each takes what it takes alone (sim/static_engine.h)
  kEvent,      // they take from each other (sim/contention.h)
  kAutomatic,  // the event engine where tasks that take from each other overlap: the same times, found sooner where none do
};

struct SimulationOptions {
  cluster::RankLayout layout = 1;           // which ranks share a node
  bool communication_shares_cores = false;  // CPU ranks that use all cores: communication takes compute time
  bool record_timeline = true;              // false: only the numbers (search)
  Engine engine = Engine::kStatic;          // of programs for CPUs it counts only where pairs were measured
  cost::OverlapLosses overlap_losses;       // for the event engine
  // Of a cluster of several kinds of nodes, by class; empty: all are alike.
  std::vector<cost::OverlapLosses> overlap_losses_of_class;
  std::vector<Bytes> memory_of_class;  // that one rank may use
  Cancellation cancellation;           // asked every so many ops or events; then the simulation fails with kInterrupted
};

// Where the makespan went, seen from the compute stream (the mean over them where a program has several). Invariant: the parts sum to it.
struct Breakdown {
  Duration compute;                // without phase optimizer
  Duration exposed_communication;  // compute stream idle, waiting for a collective; or its cores busy with one
  Duration bubble;                 // compute stream idle, waiting for another stage or another compute stream
  Duration optimizer;              // compute of phase optimizer
  Duration host;                   // compute stream idle, waiting for the launching thread; on a CPU, launching itself
};

// Where the peak is that leaves least of its rank's memory (SimulationOptions::memory_of_class; where all may use as much, the highest): in
// which class, after which op of its program, and the largest storages live there.
struct MemoryPeak {
  Bytes bytes;
  ir::OpId op;
  std::array<int64_t, ir::kStorageRoles> by_role{};
  Bytes workspace;
  std::vector<ir::StorageId> live_largest;  // up to ten, largest first
  size_t rank_class = 0;                    // of several with the same peak the first
};

struct SourceShares {  // of the summed durations of ops and collectives; all 0 where that sum is
  double measured = 0;
  double interpolated = 0;
  double analytic = 0;
};

// Whether the first of two peaks leaves less memory.
bool LeavesLess(const SimulationOptions& options, const MemoryPeak& first, const MemoryPeak& second);

// From the summed durations, by cost::Source.
SourceShares SharesOf(const std::array<int64_t, 3>& picoseconds_by_source);

struct Simulation {
  Duration makespan;
  MemoryPeak peak;
  Breakdown breakdown;  // the mean over the classes
  std::vector<Breakdown> breakdown_of_class;
  std::vector<Bytes> peak_of_class;
  SourceShares shares;
  std::vector<ir::OpId> critical_path;  // from first to last; ops numbered as in a timeline (ir/step_programs.h)
  ir::Timeline timeline;                // empty unless recorded
};

Result<Simulation> Simulate(const ir::StepPrograms& step, const cost::Estimator& estimator, const SimulationOptions& options);
// The same with prices that are remembered from step to step. REQUIRES: prices.layout() == options.layout.
Result<Simulation> Simulate(const ir::StepPrograms& step, PriceBook& prices, const SimulationOptions& options);

}  // namespace helm::sim
