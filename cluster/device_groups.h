// Device groups: clusters of several kinds of nodes: which ranks lie in which group, and what nodes and links are to a collective over
// several of them. Read by cluster/group_reader.h.
//
// Ranks fill the groups one after the other, in an order that the strategy chooses (ir::Strategy::groups): since the pipeline is the
// slowest dimension of the mesh, that order says which stages lie in which group. A stage whose ranks do not fill a group lies in several.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "cluster/rank_layout.h"
#include "core/status.h"

namespace helm::cluster {

// Each with its own bit in a GroupSet; more orders than 720 are no choice that anybody can look through.
inline constexpr int64_t kGroupsMost = 6;

inline bool HasGroups(const Cluster& cluster) { return !cluster.groups.empty(); }
// Whether all its nodes have the same device.
bool HasOneDevice(const Cluster& cluster);

// The groups in the order of `names`, as numbers into cluster.groups; in their own order where there are no names. Fails unless each group
// is named once.
Result<std::vector<size_t>> GroupOrder(const Cluster& cluster, const std::vector<std::string>& names);

// Where ranks lie that fill the groups in this order. REQUIRES: GroupOrder is ok. A cluster of one kind of node has one order.
RankLayout LayoutOf(const Cluster& cluster, const std::vector<std::string>& order = {});
// As if all ranks lay in one group. REQUIRES: group < cluster.groups.size().
RankLayout LayoutInGroup(const Cluster& cluster, size_t group);

// The numbers of the groups of a set, ascending.
std::vector<size_t> GroupsIn(GroupSet set);
// "h100", "a100 + h100".
std::string NamesOf(const Cluster& cluster, GroupSet set);

// Orders of the groups that are not the same up to the names of groups that are otherwise equal, as names; the cluster's own first.
std::vector<std::vector<std::string>> DistinctOrders(const Cluster& cluster);

// One kind of node as a collective finds it whose ranks lie in several groups: the group's own, with the slower of its links and those of
// the others of the set inside the nodes, and between the nodes of its own link and the one between the groups. REQUIRES: the group is in
// the set.
Cluster AmongGroups(const Cluster& cluster, size_t group, GroupSet set);

// Ok, or kInvalid: `who` ("helm-exec") does not know clusters of several kinds of nodes; `fix` says what to do instead.
Status RefuseGroups(const Cluster& cluster, const std::string& who, const std::string& fix);

}  // namespace helm::cluster
