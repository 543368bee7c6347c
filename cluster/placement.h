// Placement: where the ranks of a mesh group lie. Ranks fill nodes in order, so rank r is on node r / devices_per_node.
#pragma once

#include <cstdint>
#include <vector>

namespace helm::cluster {

struct GroupPlacement {
  int64_t size = 1;             // ranks of the group
  int64_t nodes = 1;            // that it touches
  int64_t ranks_per_node = 1;   // the most on one node
  int64_t groups_per_node = 1;  // instances of the group with a rank on one node, the most: they share its network cards
  bool operator==(const GroupPlacement&) const = default;
};

// `mesh`: sizes of the dimensions, fastest first; `in_group[i]`: whether the group spans dimension i. Of the instance that holds `rank`.
// REQUIRES: equal lengths, sizes >= 1, devices_per_node >= 1, 0 <= rank < product of the sizes.
GroupPlacement PlaceGroup(const std::vector<int64_t>& mesh, const std::vector<bool>& in_group, int64_t devices_per_node, int64_t rank = 0);

}  // namespace helm::cluster
