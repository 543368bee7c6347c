#include "ir/graph.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/sample_programs.h"

namespace helm::ir {
namespace {

std::string Render(const DependencyGraph& graph) {
  std::string text;
  for (const Dependency& edge : graph.edges) {
    text += std::to_string(edge.from.value) + ">" + std::to_string(edge.to.value) + " " + std::string(Name(edge.kind)) + "\n";
  }
  return text;
}

std::vector<OpId> Ids(std::initializer_list<int> values) {
  std::vector<OpId> ids;
  for (const int value : values) ids.push_back(OpId(static_cast<size_t>(value)));
  return ids;
}

// view 0 -> mm 1 -> all_reduce 2 -> wait 3 -> sum 4; full 5 -> view 6 -> mm.out 7 -> all_reduce 8 -> wait 9 -> add_ 10, which overwrites
// the weight that mm 1 reads.
TEST(Dependencies, OfTheLinearProgram) {
  EXPECT_EQ(Render(BuildDependencies(test::ParseSample(test::kLinearProgram))),
            "0>1 data\n1>2 data\n2>3 wait\n3>4 wait\n5>6 data\n5>7 data\n6>7 data\n7>8 data\n8>9 wait\n1>10 version\n9>10 wait\n");
}

TEST(Dependencies, HostOrderLinksNeighbours) {
  const Program program = test::ParseSample(test::kLinearProgram);
  const DependencyGraph graph = BuildDependencies(program, {.host_order = true});
  for (int32_t i = 1; i < 11; ++i) {
    const bool linked =
        std::ranges::any_of(graph.edges, [&](const Dependency& edge) { return edge.from.value == i - 1 && edge.to.value == i; });
    EXPECT_TRUE(linked) << i;
  }
}

// Two windows of one storage: their writers do not depend on each other, the reader of the whole depends on both, the next writer of a
// window on the reader only (it comes after the writer anyway, by that path). Collectives of one group keep their order.
TEST(Dependencies, FollowBytesNotStorages) {
  const Program program = test::ParseSample(R"(helm-program/1
program p device=cpu
mesh a=2
group a = [a]
storage g: 48 bytes gradient persistent
tensor %g: f32[12] @g
tensor %g.a: f32[6] @g
tensor %g.b: f32[6] @g+6
#0 %g.a.1: f32[6] @g = aten.zero_(%g.a)
#1 %g.b.1: f32[6] @g+6 = aten.zero_(%g.b)
#2 %all: f32[24] = c10d.all_gather(%g) {group=a}
#3 %again: f32[24] = c10d.all_gather(%g) {group=a}
#4 c10d.wait(#3) {group=a}
#5 %g.b.2: f32[6] @g+6 = aten.zero_(%g.b.1)
#6 %sum: f32[24] = aten.add.Tensor(%all, %again)
output sum = %sum
)");
  ASSERT_EQ(Verify(program).message(), "");
  EXPECT_EQ(Render(BuildDependencies(program)),
            "0>2 data\n1>2 data\n0>3 data\n1>3 data\n2>3 group\n2>4 wait\n3>4 wait\n1>5 data\n4>5 wait\n4>6 wait\n");
}

TEST(Graph, OrderTakesTheSmallestIdThatIsReady) {
  const Program program = test::ParseSample(test::kLinearProgram);
  const DependencyGraph graph{11, {{OpId(5), OpId(0), DependencyKind::kData}, {OpId(10), OpId(1), DependencyKind::kData}}};
  EXPECT_EQ(TopologicalOrder(program, graph).value(), Ids({2, 3, 4, 5, 0, 6, 7, 8, 9, 10, 1}));
}

TEST(Graph, ACycleIsNamed) {
  const Program program = test::ParseSample(test::kLinearProgram);
  const DependencyGraph graph{11,
                              {{OpId(7), OpId(1), DependencyKind::kData},
                               {OpId(1), OpId(2), DependencyKind::kData},
                               {OpId(2), OpId(7), DependencyKind::kVersion},
                               {OpId(0), OpId(1), DependencyKind::kData}}};
  EXPECT_EQ(FindCycle(graph), Ids({1, 2, 7}));
  const std::string message =
      "program 'linear': these ops wait for each other:\n  #1 aten.mm 'linear' layer 0 micro-batch 0\n  #2 c10d.all_reduce layer 0 "
      "micro-batch 0\n"
      "  #7 aten.mm.out 'linear' layer 0 micro-batch 0";
  EXPECT_EQ(TopologicalOrder(program, graph).status().message(), message);
  EXPECT_EQ(TransitiveReduction(program, graph).status().message(), message);
  EXPECT_EQ(FindCycle(BuildDependencies(program, {.host_order = true})), Ids({}));
}

TEST(Graph, IsolatedOpsHaveNoEdge) {
  EXPECT_EQ(IsolatedOps({4, {{OpId(0), OpId(2), DependencyKind::kData}}}), Ids({1, 3}));
  EXPECT_EQ(IsolatedOps(BuildDependencies(test::ParseSample(test::kLinearProgram))), Ids({}));
}

// 5>7 goes over 6; of the host edges, 3>4 also carries data and keeps that kind; everything else is a chain.
TEST(Graph, ReductionDropsWhatLongerPathsImply) {
  const Program program = test::ParseSample(test::kLinearProgram);
  EXPECT_EQ(Render(TransitiveReduction(program, BuildDependencies(program)).value()),
            "0>1 data\n1>2 data\n2>3 wait\n3>4 wait\n5>6 data\n6>7 data\n7>8 data\n8>9 wait\n1>10 version\n9>10 wait\n");
  EXPECT_EQ(Render(TransitiveReduction(program, BuildDependencies(program, {.host_order = true})).value()),
            "0>1 data\n1>2 data\n2>3 wait\n3>4 wait\n4>5 host\n5>6 data\n6>7 data\n7>8 data\n8>9 wait\n9>10 wait\n");
}

// 0 + 1 + 2 + 3 + 4 weighs 10 + 1 + 1 + 1 + 1 = 14; 5 to 10 weighs 6 x 2 = 12; 0, 1, 10 weighs 13.
TEST(Graph, LongestChainByWeight) {
  const DependencyGraph graph = BuildDependencies(test::ParseSample(test::kLinearProgram));
  EXPECT_EQ(LongestChain(graph, {10, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2}), Ids({0, 1, 2, 3, 4}));
  EXPECT_EQ(LongestChain(graph, {10, 1, 1, 1, 1, 2, 2, 2, 2, 2, 5}), Ids({0, 1, 10}));
  EXPECT_EQ(LongestChain(graph, std::vector<int64_t>(11, 1)), Ids({5, 6, 7, 8, 9, 10}));
}

TEST(Graph, DotShowsOpsShapesAndCommunication) {
  const Program program = test::ParseSample(test::kLinearProgram);
  const std::string text = ToDot(program, BuildDependencies(program));
  for (const char* line :
       {"digraph \"linear\" {\n", "  op0 [label=\"#0 aten.t layer 0 micro-batch 0\\nw.t: f32[4,6]{1,4}\" shape=box style=dotted];\n",
        "  op2 [label=\"#2 c10d.all_reduce layer 0 micro-batch 0\\non tensor\\ny.sum: f32[5,6]\" shape=hexagon", "  op0 -> op1;\n",
        "  op2 -> op3 [color=\"#1f5fa8\" penwidth=2];\n", "  op1 -> op10 [style=dashed color=gray50];\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

}  // namespace
}  // namespace helm::ir
