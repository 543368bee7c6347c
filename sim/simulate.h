// Simulate: predicts when each op of a program runs, the step's makespan and its peak memory.
//
// One representative rank of the class is simulated: every member of a collective starts it at the representative's time. Resources: the
// host thread that launches ops one after the other, compute streams, one communication stream per group. On a CPU the host thread is the
// compute stream, and a collective that would run beside computation shares the cores with it
// (SimulationOptions::communication_shares_cores). The engine is the longest path over the data, stream, host and wait edges
// (sim/static_engine.h); integer picoseconds, so the same input gives the same bytes. Always checks itself (DESIGN section 5, rule 3) and
// returns an internal error if a check fails.
//
// Not yet for point-to-point ops: a pipeline stage's time depends on the programs of other stages, and Simulate sees one.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "cost/estimator.h"
#include "ir/program.h"
#include "ir/timeline.h"

namespace helm::sim {

struct SimulationOptions {
  int64_t ranks_per_node = 1;               // how many consecutive ranks share a node
  bool communication_shares_cores = false;  // CPU ranks that use all cores: communication takes compute time
  bool record_timeline = true;              // false: only the numbers (search)
};

// Where the makespan went, seen from the compute stream (the mean over them where a program has several). Invariant: the parts sum to it.
struct Breakdown {
  Duration compute;                // without phase optimizer
  Duration exposed_communication;  // compute stream idle, waiting for a collective; or its cores busy with one
  Duration bubble;                 // compute stream idle, waiting for another stage or another compute stream
  Duration optimizer;              // compute of phase optimizer
  Duration host;                   // compute stream idle, waiting for the launching thread; on a CPU, launching itself
};

// Where the peak is: after which op, and the largest storages live there.
struct MemoryPeak {
  Bytes bytes;
  ir::OpId op;
  std::array<int64_t, ir::kStorageRoles> by_role{};
  Bytes workspace;
  std::vector<ir::StorageId> live_largest;  // up to ten, largest first
};

struct SourceShares {  // of the summed durations of ops and collectives; all 0 where that sum is
  double measured = 0;
  double interpolated = 0;
  double analytic = 0;
};

struct Simulation {
  Duration makespan;
  MemoryPeak peak;
  Breakdown breakdown;
  SourceShares shares;
  std::vector<ir::OpId> critical_path;  // from first to last
  ir::Timeline timeline;                // empty unless recorded
};

Result<Simulation> Simulate(const ir::Program& program, const cost::Estimator& estimator, const SimulationOptions& options);

}  // namespace helm::sim
