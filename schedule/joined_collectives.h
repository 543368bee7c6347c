// JoinCollectives: several collectives of one group as one. The rewrite behind buckets; which ones are joined is chosen elsewhere
// (schedule/gradient_buckets.h).
//
// Collectives that are open at the same time and differ in their tensors only can be joined: the one starts where the last of them did, and
// ends where the first of them was waited for. What they had apart:
//
//   all_reduce      on whole buffers of gradients: the buffers become one, nothing is copied
//   reduce_scatter  what is reduced is copied together, the shards of one rank beside each other; each shard is a part of the result
//   all_gather      (into tensors that nothing reads before the step ends) shards are copied together before and apart behind
//
// Invariants: the same values reach the same readers, in the same bytes of each rank's shard, so neither results nor the optimizer's state
// change but for the order in which a reduction adds.
#pragma once

#include <vector>

#include "core/status.h"
#include "ir/program.h"

namespace helm::schedule {

// Starts of collectives, in launch order, of which any that follow each other, from `first` to `last`, can be joined where
// `last` < joined_end[first].
struct CollectiveChain {
  std::vector<ir::OpId> starts;
  std::vector<size_t> joined_end;
};

// Chains of two or more. REQUIRES: Verify(program) is ok.
std::vector<CollectiveChain> CollectiveChains(const ir::Program& program);

// REQUIRES: each run is one that CollectiveChains allows; no start is in two. The result is verified by the caller.
Result<ir::Program> JoinCollectives(const ir::Program& program, const std::vector<std::vector<ir::OpId>>& runs);

}  // namespace helm::schedule
