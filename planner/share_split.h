// ShareSplit: how many micro-batches each data-parallel rank has on a cluster of several kinds of nodes, where the search may choose: as
// many as it gets through while the others do theirs.
//
// A step ends when the last data-parallel rank has its gradients, so with equally many micro-batches fast devices wait for slow ones. Ranks
// that take equally long for a micro-batch (planner/part_times.h), and lie on the same groups, have equally many; of all such splits of the
// batch the one whose slowest rank is done first, exactly. Not where ranks communicate with every micro-batch (ZeRO 2 and 3, experts), nor
// where passes or a schedule of the user's own need equal numbers; nor for stages of several chunks, nor in steps too large to write out.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/run_config.h"
#include "core/cancellation.h"
#include "core/status.h"
#include "ir/strategy.h"
#include "planner/part_times.h"

namespace helm::planner {

// Data-parallel ranks that are alike.
struct RankKind {
  int64_t ranks = 1;
  int64_t time = 0;  // picoseconds that one of them takes for a micro-batch
};

// How many micro-batches each rank of each kind has, one at least, `micro_batches` in all: the longest (number x time) is the least; of
// several such splits the one whose first kinds have fewer. None where the micro-batches cannot be split so.
std::optional<std::vector<int64_t>> FastestShares(const std::vector<RankKind>& kinds, int64_t micro_batches);

// The strategy with the micro-batches of each data-parallel rank; none where all have best equally many, or the choice is not the search's.
// Fails only when it is cancelled. REQUIRES: CheckStrategy is ok.
Result<std::optional<ir::Strategy>> WithFastestShares(const config::RunConfig& config, const ir::Strategy& strategy, PartBook& parts,
                                                      const Cancellation& cancellation);

}  // namespace helm::planner
