// The time of a collective from links alone: latency and bandwidth of a ring, hierarchical where the group spans nodes (techniques.md 5.4).
//
// Pure numbers, no contention: the rates are what the caller gives each rank.
#pragma once

#include <cstdint>
#include <string_view>

#include "cluster/cluster.h"
#include "core/status.h"
#include "core/units.h"

namespace helm::cluster {

struct RingPlacement {
  int64_t ranks = 1;
  int64_t ranks_per_node = 1;  // the most on one node
  Link intra_node;             // unused when ranks_per_node is 1
  Link inter_node;             // unused when all ranks share a node
};

// `bytes` is the full tensor (ir::CollectiveBytes). With q ranks in a node, G nodes, S bytes, links (a1, B1) inside and (a2, B2) between:
//   all_gather, reduce_scatter   (q-1)(a1 + S/(q B1)) + (G-1)(a2 + S/(q G B2))      ring inside, q rings side by side between
//   all_reduce                   twice that (reduce_scatter, then all_gather)
//   all_to_all                   the longer of (q-1)(a1 + S/(n B1)) and (n-q)(a2 + S/(n B2)), which use different links
//   broadcast                    (q-1) a1 + (G-1) a2 + S / min(B1, B2)              pipelined ring
//   send, recv                   a + S/B of the link between the two: inside when the whole group shares a node
// Nodes are as few as hold all ranks. Fails for an unknown kind.
Result<Duration> RingTime(std::string_view kind, Bytes bytes, const RingPlacement& placement);

}  // namespace helm::cluster
