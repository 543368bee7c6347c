#include "cluster/placement.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/check.h"

namespace helm::cluster {
namespace {

// The ranks of the group instance that holds `rank`, ascending: ranks whose coordinates outside the group equal those of `rank`.
std::vector<int64_t> Members(const std::vector<int64_t>& mesh, const std::vector<bool>& in_group, int64_t rank) {
  std::vector<int64_t> members{rank};
  int64_t stride = 1;
  for (size_t i = 0; i < mesh.size(); ++i) {
    if (in_group[i]) {
      const int64_t coordinate = rank / stride % mesh[i];
      std::vector<int64_t> wider;
      for (const int64_t member : members) {
        for (int64_t other = 0; other < mesh[i]; ++other) wider.push_back(member + (other - coordinate) * stride);
      }
      members = std::move(wider);
    }
    stride *= mesh[i];
  }
  std::sort(members.begin(), members.end());
  return members;
}

}  // namespace

GroupPlacement PlaceGroup(const std::vector<int64_t>& mesh, const std::vector<bool>& in_group, int64_t devices_per_node, int64_t rank) {
  HELM_CHECK(mesh.size() == in_group.size(), "one flag for each dimension of the mesh");
  HELM_CHECK(devices_per_node >= 1, "a node has at least one device");
  int64_t world = 1;
  for (const int64_t size : mesh) world *= size;
  HELM_CHECK(rank >= 0 && rank < world, "a rank of the mesh");

  const std::vector<int64_t> members = Members(mesh, in_group, rank);
  std::map<int64_t, int64_t> per_node;
  for (const int64_t member : members) ++per_node[member / devices_per_node];

  GroupPlacement placement;
  placement.size = static_cast<int64_t>(members.size());
  placement.nodes = static_cast<int64_t>(per_node.size());
  placement.groups_per_node = 0;
  for (const auto& [node, count] : per_node) {
    placement.ranks_per_node = std::max(placement.ranks_per_node, count);
    std::set<int64_t> instances;  // by their lowest rank
    for (int64_t other = node * devices_per_node; other < std::min((node + 1) * devices_per_node, world); ++other) {
      instances.insert(Members(mesh, in_group, other).front());
    }
    placement.groups_per_node = std::max(placement.groups_per_node, static_cast<int64_t>(instances.size()));
  }
  return placement;
}

}  // namespace helm::cluster
