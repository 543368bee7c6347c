// Lifetimes: when each storage of a program is allocated and freed, in launch order, as PyTorch's caching allocator sees it.
//
// The one definition for simulator and executor: a storage that is not persistent is allocated by the op that produces its first tensor
// and freed after the last op that uses any tensor on it; a storage that a collective reads or writes lives at least until the wait that
// ends that collective; a storage of a program output lives to the end of the step. What only one region uses never exists (ir/region.h).
#pragma once

#include <vector>

#include "ir/program.h"

namespace helm::ir {

struct Lifetimes {
  // For op i: storages allocated when it is launched, and storages that can be freed once it has been launched. Same length as ops.
  std::vector<std::vector<StorageId>> allocated_by;
  std::vector<std::vector<StorageId>> freed_after;
  // For op i: tensors whose handle is dropped after it (last use of the tensor value itself or of a pending collective on it). Never a
  // tensor bound before the step, nor an output.
  std::vector<std::vector<TensorId>> released_after;
};

// REQUIRES: Verify(program) is ok.
Lifetimes ComputeLifetimes(const Program& program);

// For a wait op: the start ops that it ends, in launch order (see ir/program.h): of a collective the group's earlier ones, of a
// point-to-point op the earlier ones to or from the same peer, and whatever shares a batch with one of them. Index = op; empty for other
// ops.
std::vector<std::vector<OpId>> EndedBy(const Program& program);

}  // namespace helm::ir
