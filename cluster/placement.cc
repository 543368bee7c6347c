#include "cluster/placement.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/check.h"

namespace helm::cluster {
namespace {

bool Holds(const MeshAxis& axis, int64_t coordinate) {
  return axis.coordinates.empty() || std::ranges::binary_search(axis.coordinates, coordinate);
}

// The ranks of the group that holds `rank`, ascending.
std::vector<int64_t> Members(const std::vector<MeshAxis>& mesh, int64_t rank) {
  std::vector<int64_t> members{rank};
  int64_t stride = 1;
  for (const MeshAxis& axis : mesh) {
    if (axis.role == AxisRole::kInGroup) {
      const int64_t own = rank / stride % axis.size;
      std::vector<int64_t> wider;
      for (const int64_t member : members) {
        for (int64_t other = 0; other < axis.size; ++other) {
          if (Holds(axis, other)) wider.push_back(member + (other - own) * stride);
        }
      }
      members = std::move(wider);
    }
    stride *= axis.size;
  }
  std::ranges::sort(members);
  return members;
}

// The number of the group of `other`: its coordinates outside the group; -1 when it is in none that runs together with that of `rank`.
int64_t GroupBeside(const std::vector<MeshAxis>& mesh, int64_t rank, int64_t other) {
  int64_t group = 0;
  int64_t stride = 1;
  for (const MeshAxis& axis : mesh) {
    const int64_t coordinate = other / stride % axis.size;
    if (axis.role == AxisRole::kApart && coordinate != rank / stride % axis.size) return -1;
    if (axis.role == AxisRole::kInGroup && !Holds(axis, coordinate)) return -1;
    if (axis.role == AxisRole::kBeside) group += coordinate * stride;
    stride *= axis.size;
  }
  return group;
}

}  // namespace

GroupPlacement PlaceGroup(const std::vector<MeshAxis>& mesh, const RankLayout& layout, int64_t rank) {
  int64_t world = 1;
  for (const MeshAxis& axis : mesh) world *= axis.size;
  HELM_CHECK(rank >= 0 && rank < world, "a rank of the mesh");
  HELM_CHECK(GroupBeside(mesh, rank, rank) >= 0, "a rank of the group");

  const std::vector<int64_t> members = Members(mesh, rank);
  std::map<int64_t, int64_t> per_node;
  for (const int64_t member : members) ++per_node[layout.NodeOf(member)];

  GroupPlacement placement;
  placement.size = static_cast<int64_t>(members.size());
  placement.nodes = static_cast<int64_t>(per_node.size());
  for (const int64_t member : members) placement.device_groups |= layout.GroupsOf(member, member + 1);
  for (const auto& [node, count] : per_node) {
    placement.ranks_per_node = std::max(placement.ranks_per_node, count);
    std::set<int64_t> groups;
    const auto [first, end] = layout.RanksOfNode(node);
    for (int64_t other = first; other < std::min(end, world); ++other) {
      if (const int64_t group = GroupBeside(mesh, rank, other); group >= 0) groups.insert(group);
    }
    placement.groups_per_node = std::max(placement.groups_per_node, static_cast<int64_t>(groups.size()));
  }
  return placement;
}

// Blocks of the first axes fill nodes, or nodes fill blocks: then moving along an axis moves nodes onto nodes, and groups onto groups.
bool LiesEvenly(const std::vector<MeshAxis>& mesh, const RankLayout& layout) {
  if (!layout.is_uniform()) return false;
  const int64_t devices_per_node = layout.blocks().front().ranks_per_node;
  int64_t block = 1;
  return std::ranges::all_of(mesh, [&](const MeshAxis& axis) {
    block *= axis.size;
    return block % devices_per_node == 0 || devices_per_node % block == 0;
  });
}

int64_t DevicesPerDomain(const Cluster& cluster) {
  return cluster.device.is_cpu ? cluster.devices_per_node : std::max(cluster.devices_per_node, cluster.nvlink_domain);
}

}  // namespace helm::cluster
