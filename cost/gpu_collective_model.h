// The time of a collective between GPUs from the cluster description: NCCL's own model behind NVLink switches (cost/nccl_tuner.h), rings
// elsewhere (cluster/ring_time.h), exchanges of tokens and messages by the links that they cross.
//
// Not measured and not fitted: cost/measured_collectives.h corrects it where somebody has measured. One group alone, except that the groups
// beside it (CollectiveSignature::groups_per_node) have their share of the node's network cards; links inside a node suffice for all.
#pragma once

#include "cluster/cluster.h"
#include "core/status.h"
#include "core/units.h"
#include "ir/signature.h"

namespace helm::cost {

// What one rank of the group has of its node's network cards while the groups beside it use them too: an even share, but not more than
// the cards near its GPU (all cards / all GPUs, at least one). A node is an NVLink domain. REQUIRES: the cluster has an inter_node link.
BytesPerSecond NetworkRateOfRank(const cluster::Cluster& cluster, const ir::CollectiveSignature& collective);

// Fails when the description lacks a link that the group uses, and for unknown kinds. REQUIRES: a cluster of GPUs.
Result<Duration> GpuCollectiveTime(const cluster::Cluster& cluster, const ir::CollectiveSignature& collective);

}  // namespace helm::cost
