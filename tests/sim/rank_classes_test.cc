#include "sim/rank_classes.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "sim/event_engine.h"
#include "support/rank_step.h"

namespace helm::sim {
namespace {

using Ranks = std::vector<uint32_t>;

// Kind 0: tensor groups of `tensor` neighbours. Kind 1: data groups across them.
std::vector<RankGroup> TensorAndDataGroups(uint32_t tensor, uint32_t data) {
  std::vector<RankGroup> groups;
  for (uint32_t i = 0; i < data; ++i) {
    RankGroup group{.kind = 0, .members = {}};
    for (uint32_t j = 0; j < tensor; ++j) group.members.push_back(i * tensor + j);
    groups.push_back(group);
  }
  for (uint32_t j = 0; j < tensor; ++j) {
    RankGroup group{.kind = 1, .members = {}};
    for (uint32_t i = 0; i < data; ++i) group.members.push_back(i * tensor + j);
    groups.push_back(group);
  }
  return groups;
}

TEST(RankClasses, HomogeneousRanksAreOneClass) {
  const RankClasses classes = FoldRanks(Ranks(4096, 7), TensorAndDataGroups(8, 512));
  EXPECT_EQ(classes.size(), 1U);
  EXPECT_EQ(classes.sizes, Ranks{4096});
  ASSERT_EQ(classes.groups.size(), 2U);
  EXPECT_EQ(classes.groups[0].size, 8U);
  EXPECT_EQ(classes.groups[1].size, 512U);
  EXPECT_EQ(classes.groups[1].classes, Ranks{0});
}

// 4 tensor groups of 2; rank 5 is slow.        tensor:  0 1 | 2 3 | 4 5 | 6 7      data:  0 2 4 6 and 1 3 5 7
// 5 is a class. 4 shares its tensor group. 1, 3, 7 share its data group. 0, 2, 6 share a data group with 4 and tensor groups with 1, 3, 7.
TEST(RankClasses, StragglerSplitsOffThoseThatWaitForItDifferently) {
  Ranks colors(8, 0);
  colors[5] = 1;
  const RankClasses classes = FoldRanks(colors, TensorAndDataGroups(2, 4));
  EXPECT_EQ(classes.class_of_rank, (Ranks{0, 1, 0, 1, 2, 3, 0, 1}));
  EXPECT_EQ(classes.representatives, (Ranks{0, 1, 4, 5}));
  EXPECT_EQ(classes.sizes, (Ranks{3, 3, 1, 1}));
  // Groups {0 1}, {4 5}, {0 2 4 6}, {1 3 5 7} as classes.
  ASSERT_EQ(classes.groups.size(), 4U);
  EXPECT_EQ(classes.groups[2].classes, (Ranks{0, 2}));
  EXPECT_EQ(classes.groups[3].classes, (Ranks{1, 3}));
  EXPECT_EQ(classes.folded_group, (Ranks{0, 0, 1, 0, 2, 3}));
}

// Ranks 0-1 and 2-3; the second group lies across nodes.
TEST(RankClasses, PlacementSplits) {
  std::vector<RankGroup> groups = {{.kind = 0, .members = {0, 1}}, {.kind = 0, .members = {2, 3}}};
  EXPECT_EQ(FoldRanks(Ranks(4, 0), groups).size(), 1U);
  groups[1].placement = 1;
  EXPECT_EQ(FoldRanks(Ranks(4, 0), groups).class_of_rank, (Ranks{0, 0, 1, 1}));
}

// Two pipelines of 3 stages: stages are classes since their places matter; the pipelines are equal.
TEST(RankClasses, SequencesSplitByPlace) {
  std::vector<RankGroup> groups = {{.kind = 0, .symmetry = GroupSymmetry::kSequence, .members = {0, 1, 2}},
                                   {.kind = 0, .symmetry = GroupSymmetry::kSequence, .members = {3, 4, 5}}};
  const RankClasses classes = FoldRanks(Ranks(6, 0), groups);
  EXPECT_EQ(classes.class_of_rank, (Ranks{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(classes.groups.size(), 1U);
}

// Groups of equal size with one and with two ranks of color 1: a collective starts with the slowest however many are slow, a shared NIC
// is fuller with two.
TEST(RankClasses, CountsMatterOnlyWhereACapacityIsShared) {
  const Ranks colors = {0, 0, 1, 0, 1, 1};
  std::vector<RankGroup> groups = {{.kind = 0, .members = {0, 1, 2}}, {.kind = 0, .members = {3, 4, 5}}};
  EXPECT_EQ(FoldRanks(colors, groups).size(), 2U);
  for (RankGroup& group : groups) group.symmetry = GroupSymmetry::kMultiset;
  EXPECT_EQ(FoldRanks(colors, groups).size(), 4U);
}

// ---- Folded against unfolded.

struct Instance {
  Ranks colors;
  std::vector<RankGroup> groups;
  RankStep step;
};

constexpr uint32_t kKinds = 3;  // tensor, data, all ranks of a node

// Up to 4 x 4 x 4 ranks on nodes of 2 or 4; groups are placed within a node or across; up to two slow ranks.
Instance RandomInstance() {
  Instance instance;
  const auto tensor = *rc::gen::inRange<uint32_t>(1, 5);
  const auto data = *rc::gen::inRange<uint32_t>(1, 10);
  const auto per_node = *rc::gen::element<uint32_t>(2, 4);
  const uint32_t ranks = tensor * data;
  instance.colors.assign(ranks, 0);
  for (auto slow = *rc::gen::inRange<int>(0, 3); slow > 0; --slow) instance.colors[*rc::gen::inRange<uint32_t>(0, ranks)] = 1;
  instance.groups = TensorAndDataGroups(tensor, data);
  for (uint32_t first = 0; first < ranks; first += per_node) {
    RankGroup node{.kind = 2, .members = Ranks(std::min(per_node, ranks - first))};
    std::iota(node.members.begin(), node.members.end(), first);
    instance.groups.push_back(node);
  }
  for (RankGroup& group : instance.groups) {
    group.placement = group.members.front() / per_node == group.members.back() / per_node ? 0 : 1;
  }
  const auto actions = *rc::gen::inRange<size_t>(1, 20);
  for (size_t i = 0; i < actions; ++i) {
    instance.step.actions.push_back({*rc::gen::element(StepAction::Kind::kCompute, StepAction::Kind::kCollective, StepAction::Kind::kWait),
                                     *rc::gen::inRange<uint32_t>(0, kKinds)});
  }
  for (int color = 0; color < 2; ++color) {
    instance.step.compute.push_back(*rc::gen::container<std::vector<int64_t>>(actions, rc::gen::inRange<int64_t>(0, 100)));
  }
  const auto cost = *rc::gen::container<std::vector<int64_t>>(actions, rc::gen::inRange<int64_t>(0, 50));
  instance.step.collective = [cost](size_t action, const CellGroup& group) {
    return cost[action] * (1 + 3 * group.placement) + 5 * static_cast<int64_t>(group.size);
  };
  return instance;
}

std::vector<int64_t> EndsOf(const RankStepGraph& step) {
  std::vector<int64_t> finish(step.graph.size());
  LongestPath(step.graph, finish);
  std::vector<int64_t> ends;
  for (const uint32_t task : step.last_of_cell) ends.push_back(task == kNone ? 0 : finish[task]);
  return ends;
}

RC_GTEST_PROP(RankClassesProperty, EveryRankEndsWithItsRepresentative, ()) {
  const Instance instance = RandomInstance();
  const RankClasses classes = FoldRanks(instance.colors, instance.groups);
  const RankStepGraph unfolded = StaticStep(instance.step, AllRanks(instance.colors, instance.groups, kKinds));
  const RankStepGraph folded = StaticStep(instance.step, Representatives(classes, instance.colors, instance.groups, kKinds));
  const std::vector<int64_t> unfolded_ends = EndsOf(unfolded);
  const std::vector<int64_t> folded_ends = EndsOf(folded);
  for (size_t rank = 0; rank < instance.colors.size(); ++rank) RC_ASSERT(unfolded_ends[rank] == folded_ends[classes.class_of_rank[rank]]);
  std::vector<int64_t> finish(unfolded.graph.size()), folded_finish(folded.graph.size());
  RC_ASSERT(LongestPath(unfolded.graph, finish) == LongestPath(folded.graph, folded_finish));
  RC_ASSERT(folded.graph.size() <= unfolded.graph.size());
}

RC_GTEST_PROP(RankClassesProperty, EventEngineAgreesFoldedAndUnfolded, ()) {
  const Instance instance = RandomInstance();
  const RankClasses classes = FoldRanks(instance.colors, instance.groups);
  const auto unfolded = SimulateEvents(EventStep(instance.step, AllRanks(instance.colors, instance.groups, kKinds)), {});
  const auto folded = SimulateEvents(EventStep(instance.step, Representatives(classes, instance.colors, instance.groups, kKinds)), {});
  RC_ASSERT(unfolded.ok() && folded.ok());
  RC_ASSERT(unfolded->makespan == folded->makespan);
}

// What makes it a stable partition: ranks of a class have the same color, and groups that look alike, kind by kind.
RC_GTEST_PROP(RankClassesProperty, RanksOfAClassSeeTheSame, ()) {
  const Instance instance = RandomInstance();
  const RankClasses classes = FoldRanks(instance.colors, instance.groups);
  const Cells cells = AllRanks(instance.colors, instance.groups, kKinds);
  for (size_t rank = 0; rank < instance.colors.size(); ++rank) {
    const uint32_t representative = classes.representatives[classes.class_of_rank[rank]];
    RC_ASSERT(instance.colors[rank] == instance.colors[representative]);
    for (uint32_t kind = 0; kind < kKinds; ++kind) {
      RC_ASSERT(classes.folded_group[cells.group_of[kind][rank]] == classes.folded_group[cells.group_of[kind][representative]]);
    }
  }
}

}  // namespace
}  // namespace helm::sim
