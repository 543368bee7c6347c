// GpuEstimator: what an op takes on a GPU that nobody has profiled for it: matrix products and attention from the measured kernels of the
// built-in tables (traces/kernels/), everything else from the bytes it moves. Ops only: it knows no collectives.
//
// Sources: `interpolated` where the table is of this very device, `analytic` where it is of another one of the same architecture, scaled by
// the data sheets, and for all memory-bound ops. An op that it cannot price is a Status; the chain then asks the data-sheet bound.
#pragma once

#include <memory>
#include <optional>

#include "cluster/cluster.h"
#include "cost/attention_model.h"
#include "cost/estimator.h"
#include "cost/product_model.h"

namespace helm::cost {

class GpuEstimator : public Estimator {
 public:
  // `flash`: whose kernel runs as `_scaled_dot_product_flash_attention`; `deterministic`: with a fixed order of sums. REQUIRES: not a CPU.
  explicit GpuEstimator(cluster::Device device, AttentionKernel flash = AttentionKernel::kFlash2, const FittedConstants& constants = {},
                        bool deterministic = false);

  Result<Estimate> EstimateOp(const ir::OpSignature& op) const override;
  Result<Estimate> EstimateCollective(const ir::CollectiveSignature& collective) const override;
  Result<HostCosts> EstimateHost() const override;

 private:
  Result<Estimate> EstimateProduct(const ProductShape& shape) const;
  Result<Estimate> EstimateAttention(const AttentionShape& shape) const;

  cluster::Device device_;
  AttentionKernel flash_;
  bool deterministic_;
  std::optional<ProductModel> products_;
  std::optional<AttentionModel> attention_;
};

// The product or attention that an op is; nothing for other ops.
std::optional<ProductShape> ProductShapeOf(const ir::OpSignature& op);
std::optional<AttentionShape> AttentionShapeOf(const ir::OpSignature& op);

}  // namespace helm::cost
