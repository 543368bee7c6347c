// DevicePlaces: on which kind of node each rank class of a strategy lies, and what follows for its memory and its losses by overlap. In a
// cluster of several kinds of nodes (cluster/device_groups.h) that differs from stage to stage; otherwise all are alike.
//
// Not what ops take there: cost/group_estimator.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "cluster/rank_layout.h"
#include "config/run_config.h"
#include "core/status.h"
#include "core/units.h"
#include "ir/software.h"
#include "ir/strategy.h"
#include "sim/simulate.h"

namespace helm::planner {

struct DevicePlaces {
  cluster::RankLayout layout = 1;
  std::vector<cluster::GroupSet> groups;  // by class (ir/step_programs.h)
  // By class: the nodes whose ranks have the least memory, of those that it lies on; a group, or the whole cluster. They live in that.
  std::vector<const cluster::Cluster*> nodes;
  std::vector<Bytes> workspaces;  // by class: what libraries keep (planner/outside_memory.h)
  std::vector<int64_t> ranks;     // by class: the first on those nodes

  // The name of the group; empty where there is one kind of node.
  std::string GroupOf(size_t rank_class) const { return groups[rank_class] == 0 ? "" : nodes[rank_class]->name; }
};

// Fails when the strategy names other groups than the cluster has. REQUIRES: `cluster` outlives the places.
Result<DevicePlaces> PlaceDevices(const cluster::Cluster& cluster, const ir::Strategy& strategy, const ir::Software& software);

// The options of a simulation there: which ranks share a node, what overlap costs, what memory there is.
sim::SimulationOptions SimulationOptionsOf(const cluster::Cluster& cluster, const DevicePlaces& places, double memory_fraction,
                                           const sim::PriceBook& prices);

// Orders of the groups that a search tries with so many stages; one, empty, where the order makes no difference or there are no groups.
std::vector<std::vector<std::string>> GroupOrders(const config::RunConfig& config, int64_t pipeline);

// "stages 0-1 on h100, 2 on h100 + a100, 3 on a100"; without stages, of data-parallel ranks with different numbers of micro-batches
// "data-parallel ranks 0-3 on h100, 4-5 on a100"; empty where there is one kind of node.
std::string DescribePlaces(const cluster::Cluster& cluster, const ir::Strategy& strategy);

}  // namespace helm::planner
