// IsFrozen: whether a segment's parameters compute but are not trained (beside low-rank adapters). Such a segment has parameter storage
// alone, in the compute type, whole or sharded over the ranks of `sharded_over`: `master` equals `parameter`; gradient and moments are
// none.
#pragma once

#include "ir/parameter_layout.h"

namespace helm::ir {

inline bool IsFrozen(const ParameterSegment& segment) {
  return segment.master == segment.parameter && !segment.gradient.valid() && !segment.moment_first.valid() &&
         !segment.moment_second.valid();
}

}  // namespace helm::ir
