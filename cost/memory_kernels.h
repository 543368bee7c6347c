// MemoryKernels: how long memory-bound operators take on a GPU, by those that were measured on an H200 (traces/h200-sxm-141gb/ops.json,
// compiled in). For GPUs that nobody has profiled; a cost table of the GPU itself is always the better answer.
//
// What a kernel of ATen reaches depends on the kernel: copies, reductions and in-place scalars move 0.9 of the data sheet's bandwidth
// there, sums of two tensors 0.6, silu 0.3. Above 0.9 the memory is the limit, below it the multiprocessors are: so the rate of a slow
// kernel is carried over by multiprocessors x clock, and no kernel goes beyond 0.9 of a GPU's own bandwidth.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "core/status.h"
#include "cost/cost_table.h"
#include "cost/memory_model.h"
#include "ir/signature.h"

namespace helm::cost {

class MemoryKernels {
 public:
  // `measured_on`: the device of the table. Rows of products, attention and without kernels are left out.
  static Result<MemoryKernels> Create(const CostTable& table, cluster::Device measured_on);
  // Of the table that is compiled in; made at the first call, once for each process.
  static const MemoryKernels& BuiltIn();

  const std::string& device() const { return measured_on_.name; }
  // From the end of the kernel before to the end of this one; none where no relative of the op was measured near its size, or the device
  // has no memory bandwidth.
  std::optional<double> Seconds(const ir::OpSignature& op, const Traffic& traffic, const cluster::Device& device) const;

 private:
  struct Point {
    double bytes = 0;
    double seconds = 0;  // of the kernels
  };
  using Curve = std::vector<Point>;  // ascending in bytes, one point for each number of bytes

  const Curve* CurveOf(const ir::OpSignature& op, double bytes) const;

  cluster::Device measured_on_;
  std::map<std::string, Curve> by_family_;  // OpFeatures::family
  std::map<std::string, Curve> by_types_;   // target and element types
};

}  // namespace helm::cost
