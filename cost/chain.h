// ChainEstimator: measured, then interpolated, then analytic; remembers every answer and on what it rests, so that a prediction can state
// how much of it was measured and which rows a cost table lacks. Never falls back in silence: see Coverage and Warnings.
//
// Not safe for concurrent use (it remembers); make one for each thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cluster/cluster.h"
#include "cost/analytic.h"
#include "cost/attention_model.h"
#include "cost/cost_table.h"
#include "cost/estimator.h"
#include "cost/fitted_constants.h"

namespace helm::cost {

// What the tables of a cluster must have been measured on. A GPU's table does not depend on how many ranks share the machine.
DeviceKey DeviceKeyOf(const cluster::Cluster& cluster);

struct ChainOptions {
  bool require_measured = false;                         // anything but a measured row is an error
  HostThread host = HostThread::kInterpreter;            // whose launch costs, where no table has them
  bool launch_blocking = false;                          // HostCosts::blocking
  bool pipeline_sync = false;                            // HostCosts::waits_for_messages
  bool gradient_norm_sync = false;                       // HostCosts::waits_for_norm
  AttentionKernel attention = AttentionKernel::kFlash2;  // whose flash attention runs, where no table has it
  bool deterministic = false;                            // that kernel's sums have a fixed order
  FittedConstants constants;
  auto operator<=>(const ChainOptions&) const = default;
};

// What a framework means for the costs of ops.
ChainOptions ChainOptionsOf(const ir::Software& software);

// What was asked for so far, by key (ir::ToText): on what the answer rests, or why there was none. Sorted by key.
struct Coverage {
  std::map<std::string, Source> answered;
  std::map<std::string, std::string> missing;
  int64_t Count(Source source) const;
  bool operator==(const Coverage&) const = default;
};

class ChainEstimator : public Estimator {
 public:
  // Asks `links` one after the other. REQUIRES: at least one. `gloo`: what carries the collectives, and copies for some of them.
  ChainEstimator(std::vector<std::unique_ptr<Estimator>> links, ChainOptions options, bool gloo = false)
      : links_(std::move(links)), options_(options), gloo_(gloo) {}

  Result<Estimate> EstimateOp(const ir::OpSignature& op) const override;
  Result<Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override;
  Result<HostCosts> EstimateHost() const override;
  OverlapLosses EstimateOverlap(const OverlapLosses& modelled) const override;

  const Coverage& coverage() const { return coverage_; }
  // One error that lists everything that was asked for and is not measured; ok when all was.
  Status CheckMeasured() const;

 private:
  template <typename Ask>
  Result<Estimate> Remember(const std::string& key, const Ask& ask) const;

  std::vector<std::unique_ptr<Estimator>> links_;
  ChainOptions options_;
  bool gloo_;
  mutable std::unordered_map<std::string, Result<Estimate>> remembered_;  // only looked up, never iterated
  mutable Coverage coverage_;
};

// The estimator of a cluster of one kind of node (any: cost/group_estimator.h) from its tables (later ones replace rows of earlier ones)
// and its description. Refuses a table of another device.
Result<std::unique_ptr<ChainEstimator>> MakeEstimator(const cluster::Cluster& cluster, const std::vector<CostTable>& tables,
                                                      const ChainOptions& options = {});

// What a reader of a prediction must be told about these tables: nothing measured at all, launch costs not measured, what pairs say. Ready
// to print, one line each.
std::vector<std::string> Warnings(const cluster::Cluster& cluster, const std::vector<CostTable>& tables);

}  // namespace helm::cost
