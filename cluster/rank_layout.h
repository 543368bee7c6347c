// RankLayout: on which node, and in which group of a cluster of several kinds of nodes, each rank lies. Ranks fill the groups in an order,
// and in each its nodes in order. Not which ranks talk to each other: cluster/placement.h.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace helm::cluster {

// Bit i: group i of Cluster::groups. 0: a cluster of one kind of node has no groups.
using GroupSet = uint32_t;

// Consecutive ranks on nodes of one kind.
struct RankBlock {
  int64_t ranks = 0;  // the last block of a layout has no end
  int64_t ranks_per_node = 1;
  GroupSet group = 0;  // one bit, or none
  bool operator==(const RankBlock&) const = default;
};

class RankLayout {
 public:
  // All nodes alike: `ranks_per_node` consecutive ranks share one. REQUIRES: ranks_per_node >= 1.
  RankLayout(int64_t ranks_per_node) : RankLayout({RankBlock{0, ranks_per_node, 0}}) {}  // NOLINT(google-explicit-constructor)
  // REQUIRES: at least one block; ranks >= 1 of each but the last; ranks_per_node >= 1.
  explicit RankLayout(std::vector<RankBlock> blocks);

  // Nodes are counted from 0, on through all blocks. The last one of a block may hold fewer ranks than the others.
  int64_t NodeOf(int64_t rank) const;
  std::pair<int64_t, int64_t> RanksOfNode(int64_t node) const;  // the first, and one past the last
  // The groups that the ranks [first, end) lie in. REQUIRES: first < end.
  GroupSet GroupsOf(int64_t first, int64_t end) const;

  bool is_uniform() const { return blocks_.size() == 1; }
  const std::vector<RankBlock>& blocks() const { return blocks_; }
  bool operator==(const RankLayout&) const = default;

 private:
  struct Start {
    int64_t rank = 0;
    int64_t node = 0;
    bool operator==(const Start&) const = default;
  };

  std::vector<RankBlock> blocks_;
  std::vector<Start> starts_;  // by block
};

}  // namespace helm::cluster
