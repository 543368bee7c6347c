// AnalyticEstimator: time from the data sheet alone, for what was never measured: a lower bound that no kernel quite reaches.
//
// An op takes the longer of its FLOPs at the peak rate of its element type and its bytes at the memory bandwidth (roofline); a collective
// takes what its links allow (cost/gpu_collective_model.h; CPU ranks: cluster/ring_time.h). No efficiency is multiplied in and nothing
// is fitted. A number that the cluster description lacks is an error that names it. Assumptions and failures: docs/cost_model.md.
#pragma once

#include "cluster/cluster.h"
#include "cost/estimator.h"
#include "cost/fitted_constants.h"
#include "ir/software.h"

namespace helm::cost {

// What runs on the host thread of a rank on GPUs: HELM's interpreter or a compiled program, or a training framework in Python, op by op.
enum class HostThread : uint8_t { kInterpreter, kPython };
// Python for every framework but HELM's own executor, unless it is compiled.
HostThread HostThreadOf(const ir::Software& software);

class AnalyticEstimator : public Estimator {
 public:
  explicit AnalyticEstimator(cluster::Cluster cluster, HostThread host = HostThread::kInterpreter, const FittedConstants& constants = {})
      : cluster_(std::move(cluster)), host_(host), python_kernel_us_(constants.python_kernel_us) {}

  Result<Estimate> EstimateOp(const ir::OpSignature& op) const override;
  Result<Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override;
  Result<HostCosts> EstimateHost() const override;

 private:
  // The share of a device's rates that one rank has: all of a GPU; a machine's CPU is split evenly among its ranks.
  double ShareOfDevice() const;
  Result<Duration> CpuCollective(const ir::CollectiveSignature& collective) const;

  cluster::Cluster cluster_;
  HostThread host_;
  double python_kernel_us_;
};

// Bytes that the op writes: known for matrix products and lookups, for others as much as its largest operand.
Bytes BytesWritten(const ir::OpSignature& op);

}  // namespace helm::cost
