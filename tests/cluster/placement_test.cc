#include "cluster/placement.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace helm::cluster {
namespace {

// Mesh tensor 4 x data 4 on nodes of 8: node 0 holds ranks 0-7 = two tensor groups; a data group {0, 4, 8, 12} has two ranks on each of
// two nodes, and four such groups share a node.
TEST(PlaceGroup, TensorInsideDataAcross) {
  EXPECT_EQ(PlaceGroup({4, 4}, {true, false}, 8), (GroupPlacement{.size = 4, .nodes = 1, .ranks_per_node = 4, .groups_per_node = 2}));
  EXPECT_EQ(PlaceGroup({4, 4}, {false, true}, 8), (GroupPlacement{.size = 4, .nodes = 2, .ranks_per_node = 2, .groups_per_node = 4}));
  EXPECT_EQ(PlaceGroup({4, 4}, {true, true}, 8), (GroupPlacement{.size = 16, .nodes = 2, .ranks_per_node = 8, .groups_per_node = 1}));
  EXPECT_EQ(PlaceGroup({4, 4}, {false, false}, 8), (GroupPlacement{.size = 1, .nodes = 1, .ranks_per_node = 1, .groups_per_node = 8}));
}

// Tensor 3 on nodes of 4 (ranks 0-11): group {3, 4, 5} straddles nodes 0 and 1, with two of its ranks on node 1; on node 1 (4-7) lie parts
// of the groups {3,4,5} and {6,7,8}.
TEST(PlaceGroup, AGroupMayStraddleNodes) {
  EXPECT_EQ(PlaceGroup({3, 4}, {true, false}, 4, 0), (GroupPlacement{.size = 3, .nodes = 1, .ranks_per_node = 3, .groups_per_node = 2}));
  EXPECT_EQ(PlaceGroup({3, 4}, {true, false}, 4, 4), (GroupPlacement{.size = 3, .nodes = 2, .ranks_per_node = 2, .groups_per_node = 2}));
}

RC_GTEST_PROP(PlaceGroup, CountsAgree, ()) {
  const auto mesh = *rc::gen::container<std::vector<int64_t>>(3, rc::gen::inRange<int64_t>(1, 5));
  const auto in_group = *rc::gen::container<std::vector<bool>>(3, rc::gen::arbitrary<bool>());
  const auto per_node = *rc::gen::inRange<int64_t>(1, 9);
  const int64_t world = mesh[0] * mesh[1] * mesh[2];
  const auto rank = *rc::gen::inRange<int64_t>(0, world);
  const GroupPlacement placement = PlaceGroup(mesh, in_group, per_node, rank);
  int64_t size = 1;
  for (size_t i = 0; i < 3; ++i) size *= in_group[i] ? mesh[i] : 1;
  RC_ASSERT(placement.size == size);
  RC_ASSERT(placement.ranks_per_node <= std::min(size, per_node));
  RC_ASSERT(placement.nodes * placement.ranks_per_node >= size);
  RC_ASSERT(placement.groups_per_node >= 1 && placement.groups_per_node <= per_node);
}

}  // namespace
}  // namespace helm::cluster
