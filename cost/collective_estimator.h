// CollectiveEstimator: what a collective or message takes on GPUs that nobody has profiled for it: the model of cost/gpu_collective_model.h
// times what measurements elsewhere say of that model (traces/collectives/). Collectives only: it prices no ops.
//
// The correction is measured / modelled, on the machine of the table, for the same kind and bytes; between measured numbers of ranks it is
// interpolated in their logarithms, beyond them the nearest one holds. Where the GPU and its number of ranks were measured, the price is
// thus the measured time, interpolated between sizes, and beyond them continued by the latency and bandwidth of the two last points.
// Which table: of this very GPU (source: interpolated), otherwise of its architecture, otherwise of Hopper (both: analytic); groups inside
// a node need NVLink switches. Everything else is a Status; the chain then asks the uncorrected model.
#pragma once

#include <vector>

#include "cluster/cluster.h"
#include "cost/collective_table.h"
#include "cost/estimator.h"

namespace helm::cost {

class CollectiveEstimator : public Estimator {
 public:
  // `tables` must outlive the estimator. REQUIRES: not a CPU.
  explicit CollectiveEstimator(cluster::Cluster cluster, const std::vector<CollectiveTable>& tables = BuiltinCollectiveTables())
      : cluster_(std::move(cluster)), tables_(tables) {}

  Result<Estimate> EstimateOp(const ir::OpSignature& op) const override;
  Result<Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override;
  Result<HostCosts> EstimateHost() const override;

 private:
  // The best table that has curves of this kind and placement; null when none has.
  const CollectiveTable* TableFor(const ir::CollectiveSignature& collective) const;

  cluster::Cluster cluster_;
  const std::vector<CollectiveTable>& tables_;
};

}  // namespace helm::cost
