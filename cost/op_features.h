// OpFeatures: an op as a point among its relatives, so that a cost table can answer for a shape that lies between measured ones.
//
// Two ops are relatives (same family) when they have the same target and the same argument structure: ranks, element types, order and
// density of strides, which dimensions are 1, which operands are persistent, and the same scalars. A whole number in a scalar argument that
// repeats a size of a tensor argument (a normalised shape, a view's size) counts as that size, not as a number of its own.
#pragma once

#include <string>
#include <vector>

#include "ir/signature.h"

namespace helm::cost {

struct OpFeatures {
  std::string family;
  // Natural logarithms: all sizes of all tensor arguments; for ops without known FLOPs whose tensors all have one shape just the bytes,
  // since only those matter to a memory-bound pointwise op.
  std::vector<double> coordinates;
  // What the op has to do: FLOPs of matrix products and attention, bytes of its arguments for all others. Positive unless the op has no
  // data.
  double work = 0;
  double bytes = 0;  // of its arguments
};

OpFeatures FeaturesOf(const ir::OpSignature& op);

}  // namespace helm::cost
