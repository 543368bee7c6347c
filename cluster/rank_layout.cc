#include "cluster/rank_layout.h"

#include <algorithm>

#include "core/check.h"

namespace helm::cluster {

RankLayout::RankLayout(std::vector<RankBlock> blocks) : blocks_(std::move(blocks)) {
  HELM_CHECK(!blocks_.empty(), "ranks lie somewhere");
  Start start;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const RankBlock& block = blocks_[i];
    HELM_CHECK(block.ranks_per_node >= 1, "a node holds ranks");
    HELM_CHECK(block.ranks >= 1 || i + 1 == blocks_.size(), "a block holds ranks");
    starts_.push_back(start);
    start.rank += block.ranks;
    start.node += (block.ranks + block.ranks_per_node - 1) / block.ranks_per_node;
  }
}

int64_t RankLayout::NodeOf(int64_t rank) const {
  size_t i = 0;
  while (i + 1 < blocks_.size() && rank >= starts_[i + 1].rank) ++i;
  return starts_[i].node + (rank - starts_[i].rank) / blocks_[i].ranks_per_node;
}

std::pair<int64_t, int64_t> RankLayout::RanksOfNode(int64_t node) const {
  size_t i = 0;
  while (i + 1 < blocks_.size() && node >= starts_[i + 1].node) ++i;
  const int64_t first = starts_[i].rank + (node - starts_[i].node) * blocks_[i].ranks_per_node;
  const int64_t end = first + blocks_[i].ranks_per_node;
  return {first, i + 1 < blocks_.size() ? std::min(end, starts_[i + 1].rank) : end};
}

GroupSet RankLayout::GroupsOf(int64_t first, int64_t end) const {
  GroupSet groups = 0;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const bool before = i + 1 < blocks_.size() && starts_[i + 1].rank <= first;
    if (!before && starts_[i].rank < end) groups |= blocks_[i].group;
  }
  return groups;
}

}  // namespace helm::cluster
