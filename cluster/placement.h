// Placement: where the ranks of a group lie, and which other groups use the network cards of its nodes at the same time. Which rank is on
// which node: cluster/rank_layout.h. Not bandwidths: cost/gpu_collective_model.h.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/cluster.h"
#include "cluster/rank_layout.h"

namespace helm::cluster {

enum class AxisRole : uint8_t {
  kInGroup,  // the group's ranks differ along it
  kBeside,   // each coordinate has a group of its own, which runs at the same time
  kApart,    // each coordinate has a group of its own, which runs at another time (pipeline stages)
};

// A dimension of the mesh, as one group sees it.
struct MeshAxis {
  int64_t size = 1;
  AxisRole role = AxisRole::kBeside;
  std::vector<int64_t> coordinates;  // kInGroup: not empty: the group has these alone, ascending (first and last stage)
};

struct GroupPlacement {
  int64_t size = 1;             // ranks of the group
  int64_t nodes = 1;            // that it touches
  int64_t ranks_per_node = 1;   // the most on one node
  int64_t groups_per_node = 1;  // groups that run at the same time with a rank on one node, the most: they share its network cards
  GroupSet device_groups = 0;   // of a cluster of several kinds of nodes: those that its ranks lie in
  bool operator==(const GroupPlacement&) const = default;
};

// Of the group that holds `rank`. `mesh`: fastest axis first. REQUIRES: sizes >= 1, 0 <= rank < product of the sizes, and the
// coordinates of `rank` are among those of the axes that list some.
GroupPlacement PlaceGroup(const std::vector<MeshAxis>& mesh, const RankLayout& layout, int64_t rank = 0);

// Whether all groups of this kind lie alike, whichever rank they hold: no border between nodes cuts through the mesh at an odd place. False
// where that is not certain.
bool LiesEvenly(const std::vector<MeshAxis>& mesh, const RankLayout& layout);

// How many GPUs reach each other without network cards: a node, or the NVLink domain where that is larger. What "node" means for
// collectives. REQUIRES: nodes of one kind.
int64_t DevicesPerDomain(const Cluster& cluster);

}  // namespace helm::cluster
