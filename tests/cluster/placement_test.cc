#include "cluster/placement.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace helm::cluster {
namespace {

using enum AxisRole;

// Mesh tensor 4 x data 4 on nodes of 8: node 0 holds ranks 0-7 = two tensor groups; a data group {0, 4, 8, 12} has two ranks on each of
// two nodes, and four such groups share a node.
TEST(PlaceGroup, TensorInsideDataAcross) {
  EXPECT_EQ(PlaceGroup({{4, kInGroup, {}}, {4, kBeside, {}}}, 8),
            (GroupPlacement{.size = 4, .nodes = 1, .ranks_per_node = 4, .groups_per_node = 2}));
  EXPECT_EQ(PlaceGroup({{4, kBeside, {}}, {4, kInGroup, {}}}, 8),
            (GroupPlacement{.size = 4, .nodes = 2, .ranks_per_node = 2, .groups_per_node = 4}));
  EXPECT_EQ(PlaceGroup({{4, kInGroup, {}}, {4, kInGroup, {}}}, 8),
            (GroupPlacement{.size = 16, .nodes = 2, .ranks_per_node = 8, .groups_per_node = 1}));
  EXPECT_EQ(PlaceGroup({{4, kBeside, {}}, {4, kBeside, {}}}, 8),
            (GroupPlacement{.size = 1, .nodes = 1, .ranks_per_node = 1, .groups_per_node = 8}));
}

// Tensor 3 on nodes of 4 (ranks 0-11): group {3, 4, 5} straddles nodes 0 and 1, with two of its ranks on node 1; on node 1 (4-7) lie parts
// of the groups {3,4,5} and {6,7,8}.
TEST(PlaceGroup, AGroupMayStraddleNodes) {
  const std::vector<MeshAxis> mesh = {{3, kInGroup, {}}, {4, kBeside, {}}};
  EXPECT_EQ(PlaceGroup(mesh, 4, 0), (GroupPlacement{.size = 3, .nodes = 1, .ranks_per_node = 3, .groups_per_node = 2}));
  EXPECT_EQ(PlaceGroup(mesh, 4, 4), (GroupPlacement{.size = 3, .nodes = 2, .ranks_per_node = 2, .groups_per_node = 2}));
}

// Tensor 2 x data 2 x pipeline 4 on nodes of 8: node 0 holds stages 0 (ranks 0-3) and 1 (4-7), node 1 stages 2 and 3. A data group of stage
// 1 is {4, 6}; beside it runs {5, 7}, but not the two of stage 0.
TEST(PlaceGroup, StagesReduceAtTheirOwnTime) {
  const std::vector<MeshAxis> mesh = {{2, kBeside, {}}, {2, kInGroup, {}}, {4, kApart, {}}};
  EXPECT_EQ(PlaceGroup(mesh, 8, 4), (GroupPlacement{.size = 2, .nodes = 1, .ranks_per_node = 2, .groups_per_node = 2}));
}

// The same mesh: a message from stage 1 to stage 2 crosses nodes, four side by side; one from stage 0 to stage 1 stays on node 0. First and
// last stage (tied embeddings) lie on two nodes.
TEST(PlaceGroup, PartOfTheStages) {
  const auto across = [](std::vector<int64_t> stages) {
    return std::vector<MeshAxis>{{2, kBeside, {}}, {2, kBeside, {}}, {4, kInGroup, std::move(stages)}};
  };
  EXPECT_EQ(PlaceGroup(across({1, 2}), 8, 4), (GroupPlacement{.size = 2, .nodes = 2, .ranks_per_node = 1, .groups_per_node = 4}));
  EXPECT_EQ(PlaceGroup(across({0, 1}), 8, 0), (GroupPlacement{.size = 2, .nodes = 1, .ranks_per_node = 2, .groups_per_node = 4}));
  EXPECT_EQ(PlaceGroup(across({0, 3}), 8, 12), (GroupPlacement{.size = 2, .nodes = 2, .ranks_per_node = 1, .groups_per_node = 4}));
}

RC_GTEST_PROP(PlaceGroup, CountsAgree, ()) {
  std::vector<MeshAxis> mesh(3);
  int64_t size = 1;
  int64_t world = 1;
  for (MeshAxis& axis : mesh) {
    axis.size = *rc::gen::inRange<int64_t>(1, 5);
    axis.role = *rc::gen::element(kInGroup, kBeside, kApart);
    if (axis.role == kInGroup) size *= axis.size;
    world *= axis.size;
  }
  const auto per_node = *rc::gen::inRange<int64_t>(1, 9);
  const auto rank = *rc::gen::inRange<int64_t>(0, world);
  const GroupPlacement placement = PlaceGroup(mesh, per_node, rank);
  RC_ASSERT(placement.size == size);
  RC_ASSERT(placement.ranks_per_node <= std::min(size, per_node));
  RC_ASSERT(placement.nodes * placement.ranks_per_node >= size);
  RC_ASSERT(placement.groups_per_node >= 1 && placement.groups_per_node <= per_node);
}

// A rack of 72 is one node to collectives; a domain of half a node is not.
TEST(DevicesPerDomain, NvlinkMayReachFurtherThanTheNode) {
  Cluster cluster;
  cluster.devices_per_node = 4;
  EXPECT_EQ(DevicesPerDomain(cluster), 4);
  cluster.nvlink_domain = 72;
  EXPECT_EQ(DevicesPerDomain(cluster), 72);
  cluster.nvlink_domain = 2;
  EXPECT_EQ(DevicesPerDomain(cluster), 4);
}

}  // namespace
}  // namespace helm::cluster
