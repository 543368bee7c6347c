// ProductModel: the time of a matrix product on a GPU from the measured products of a kernel table, for any size and for devices that
// differ from the measured one by facts.
//
// Two factors (techniques.md 6.2): an ideal time, which knows where time jumps (waves of tiles over the multiprocessors, bytes against
// FLOPs), and an efficiency, ideal / measured, which varies slowly and is interpolated in the logarithms of m, n and k, clamped at the
// ends of the grid. Time itself is never interpolated. Not for skinny products of decoding only: it covers them, but was checked on
// products of training.
#pragma once

#include <cstdint>
#include <string>

#include "cluster/cluster.h"
#include "core/status.h"
#include "cost/fitted_constants.h"
#include "cost/kernel_table.h"

namespace helm::cost {

// batch times [m, k] x [k, n]; `dtype` of the operands. A grouped product (one for each expert) is a batch with the mean of their rows.
struct ProductShape {
  int64_t batch = 1, m = 1, n = 1, k = 1;
  std::string dtype = "bf16";
  int64_t alignment_bytes = 16;    // the largest power of two, up to 16, that divides the rows' distance in memory of all three matrices
  double extra_bytes_written = 0;  // beyond operands and product in `dtype`: an fp32 product, an accumulator read and written
  bool adds = false;               // to an accumulator
};

// What the ideal time needs to know of a device.
struct ProductFacts {
  double flops_per_second = 0;
  double bytes_per_second = 0;
  int64_t multiprocessors = 1;
  bool waves = false;  // tiles are handed out in whole waves: before Hopper, whose persistent kernels smooth them
};

// Seconds if every multiprocessor worked at its peak: tiles of 256 x 128 or 128 x 256 with k split in 1, 2 or 4, whole waves of them, 1 us
// to start a wave; not less than its bytes take; 2 us to launch.
double IdealProductSeconds(const ProductFacts& facts, const ProductShape& shape);

class ProductModel {
 public:
  // `table` must outlive the model and has products. The device's `sustained_clock` slows what its FLOPs bound.
  ProductModel(const KernelTable& table, cluster::Device device, const FittedConstants& constants = {})
      : table_(table), device_(std::move(device)), sum_exposed_(constants.sum_exposed) {}

  // Seconds. Fails when the device has no peak rate for the element type, or no memory bandwidth.
  Result<double> Seconds(const ProductShape& shape) const;
  // The table was measured on this very device.
  bool own_table() const { return table_.device == device_.name; }

 private:
  const KernelTable& table_;
  cluster::Device device_;
  double sum_exposed_;  // FittedConstants
};

}  // namespace helm::cost
