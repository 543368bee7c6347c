// How the extents of views on one storage lie to each other (ir/program.h). Internal to ir/.
#pragma once

#include "ir/program.h"

namespace helm::ir {

inline bool Overlap(Extent a, Extent b) { return a.begin < b.end && b.begin < a.end; }
inline bool Contains(Extent outer, Extent inner) { return outer.begin <= inner.begin && inner.end <= outer.end; }

}  // namespace helm::ir
