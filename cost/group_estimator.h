// GroupEstimator: the costs of a cluster of several kinds of nodes: each group's own (cost/chain.h), and those of what spans several.
//
// A stage whose ranks lie in several groups runs at the pace of the slowest: an op, and the host thread, take what they take in the slowest
// group of the set. That is exact where one device is slower in everything, an upper bound else. A collective over several groups takes
// what the slowest of them would take if all nodes were like its own, with the links of cluster::AmongGroups; no table has measured those.
// Asked without a set, it answers for all groups together.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "cluster/cluster.h"
#include "cost/chain.h"
#include "cost/cost_table.h"
#include "cost/estimator.h"

namespace helm::cost {

// The estimator of any cluster. A table must have been measured on the device of the cluster, or on that of one of its groups.
Result<std::unique_ptr<Estimator>> MakeClusterEstimator(const cluster::Cluster& cluster, const std::vector<CostTable>& tables,
                                                        const ChainOptions& options = {});

// As cost::Warnings, of each group.
std::vector<std::string> ClusterWarnings(const cluster::Cluster& cluster, const std::vector<CostTable>& tables);

}  // namespace helm::cost
