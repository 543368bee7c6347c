// Prediction: what HELM says of one plan: does it fit, how long is a step, how much memory, what the numbers rest on. The document that
// `--json` prints (docs/cli.md).
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "cluster/cluster.h"
#include "core/units.h"
#include "ir/plan.h"
#include "model/model_spec.h"
#include "planner/outside_memory.h"
#include "sim/simulate.h"

namespace helm::planner {

// Between which times the step probably takes, judged by how far off predictions of such runs were (cost/error_bands.h).
struct StepTimeBand {
  Duration low, high;
  std::string kind;  // of run
  int64_t rows = 0, sources = 0;
};

// Reserved by the caching allocator and outside it, of what the device has.
struct MemoryOnRank {
  int64_t rank = 0;
  Bytes taken, device;
};

struct Prediction {
  bool fits = true;
  Duration step_time;
  std::optional<StepTimeBand> band;  // none where nobody has published runs of the kind
  double tokens_per_second_per_device = 0;
  std::optional<double> model_flops_utilization;  // none where the device's peak is not known, and of a prefill
  Bytes memory_bytes_peak;                        // allocated, of one rank
  std::optional<Bytes> memory_bytes_reserved;     // by the caching allocator, of the same rank; none where it was not replayed
  OutsideMemory outside;                          // the allocator, of the same rank
  std::optional<MemoryOnRank> tightest;           // of the rank with least left, maybe another; none where it was not replayed
  Bytes memory_bytes_capacity;                    // that one rank may allocate
  Bytes memory_bytes_device;                      // that one rank has
  int64_t rank_of_peak = 0;                       // the first with that peak
  // Of a cluster of several kinds of nodes: the group that rank is of, which has least left of what its ranks may use; else empty.
  std::string group_of_peak;
  sim::MemoryPeak peak;
  sim::Breakdown breakdown;
  sim::SourceShares sources;
};

// Memory that one rank may use: the device's, or its share of the machine's on a local CPU cluster, times `fraction`; of several kinds of
// nodes where it may use the most.
Bytes MemoryCapacity(const cluster::Cluster& cluster, double fraction);

Prediction MakePrediction(const sim::Simulation& simulation, const model::ModelSpec& model, const ir::Workload& workload,
                          const cluster::Cluster& cluster, double memory_fraction);

// Low and high end of the band.
std::optional<std::pair<double, double>> BandSecondsOf(const Prediction& prediction);

// `kSameMachine`: the two differ in the strategy alone, so that most of their errors is common to both. `kOtherWork`: another model or
// workload, no rivals.
enum class Compared : uint8_t { kSameMachine, kDifferent, kOtherWork };
// True where HELM cannot say which of the two is faster: the predicted ratio is within the error of such ratios (the same machine,
// published runs), or else the bands overlap. False where there are no bands.
bool IsTie(const Prediction& first, const Prediction& second, Compared compared = Compared::kSameMachine);

// True where a rank takes more than its device has: the allocator has to give back what it keeps for later and ask again, which is slow, or
// cannot for fragmentation and the run ends.
bool ReservesTooMuch(const Prediction& prediction);

nlohmann::ordered_json ToJson(const Prediction& prediction);
// For the plan file.
ir::PlanPrediction Summary(const Prediction& prediction);

// Several lines for the terminal: time, tokens a second, memory bar against capacity, breakdown, sources.
std::string ToText(const Prediction& prediction);

}  // namespace helm::planner
