#include "sim/task_costs.h"

#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "support/program_from_text.h"

namespace helm::sim {
namespace {

// Ranks 0-3 and 4-7 are the tensor groups of stage 0, 8-15 those of stage 1.
ir::Program Groups(int64_t tensor = 4, int64_t data = 2, int64_t pipeline = 2) {
  const std::string mesh = fmt::format("mesh tensor={} data={} pipeline={}\n", tensor, data, pipeline);
  return test::ProgramFromText("helm-program/1\nprogram groups device=cuda\n" + mesh + R"(group tensor = [tensor]
group data = [data]
group pipeline = [pipeline]
group world = [tensor, data, pipeline]
storage x: 40 bytes input persistent
tensor %x: f32[10] @x
input x = %x
#0 %a: f32[10] @x = c10d.all_reduce(%x, "sum") {phase=forward group=tensor}
#1 c10d.wait(#0) {phase=forward group=tensor}
#2 %b: f32[10] @x = c10d.all_reduce(%a, "sum") {phase=forward group=data}
#3 c10d.wait(#2) {phase=forward group=data}
#4 %c: f32[10] @x = c10d.all_reduce(%b, "sum") {phase=forward group=world}
#5 c10d.wait(#4) {phase=forward group=world}
#6 c10d.send(%c, 1, 7) {phase=forward group=pipeline}
#7 c10d.wait(#6) {phase=forward group=pipeline}
#8 c10d.send(%c, 1, 7) {phase=forward group=tensor}
#9 c10d.wait(#8) {phase=forward group=tensor}
output c = %c
)");
}

std::string SignatureText(int op, int64_t ranks_per_node, int64_t rank = 0) {
  const ir::Program program = Groups();
  return ir::ToText(CollectiveSignatureOf(program, program.ops[static_cast<size_t>(op)], rank, ranks_per_node));
}

// Nodes of four: a tensor group fills one; the two ranks of a data group are on two nodes, and four such groups of a stage share each.
TEST(CollectiveSignatureOf, TensorInsideDataAcross) {
  EXPECT_EQ(SignatureText(0, 4), "all_reduce f32 ranks=4 per_node=4 bytes=40");
  EXPECT_EQ(SignatureText(2, 4), "all_reduce f32 ranks=2 per_node=1 groups=4 bytes=40");
  EXPECT_EQ(SignatureText(4, 4), "all_reduce f32 ranks=16 per_node=4 bytes=40");
}

// Nodes of eight hold a stage; nodes of sixteen both, but the groups of the other stage reduce at another time and use no cards anyway.
TEST(CollectiveSignatureOf, AStageOnANode) {
  EXPECT_EQ(SignatureText(2, 8), "all_reduce f32 ranks=2 per_node=2 bytes=40");
  EXPECT_EQ(SignatureText(2, 16, 8), "all_reduce f32 ranks=2 per_node=2 bytes=40");
}

// From stage 0 to stage 1: the other node beside seven more messages, or the same node.
TEST(CollectiveSignatureOf, MessagesBetweenStages) {
  EXPECT_EQ(SignatureText(6, 8), "send f32 ranks=2 per_node=1 groups=8 bytes=40");
  EXPECT_EQ(SignatureText(6, 16), "send f32 ranks=2 per_node=2 bytes=40");
}

// Around the ring of a tensor group: inside its node; on nodes of two every message waits for the slowest, between {0, 1} and {2, 3}.
TEST(CollectiveSignatureOf, MessagesAroundARing) {
  EXPECT_EQ(SignatureText(8, 4), "send f32 ranks=2 per_node=2 bytes=40");
  EXPECT_EQ(SignatureText(8, 2), "send f32 ranks=2 per_node=1 bytes=40");
}

// Tensor groups of six on nodes of eight: ranks 0-5 lie on one node, 6-11 on two; the data groups {0, 6}, {1, 7} on one and the others on
// two.
TEST(PlacementsOf, GroupsThatLieDifferently) {
  const ir::Program program = Groups(6, 2, 2);
  const auto nodes = [&](int op, int64_t rank) {
    std::vector<int64_t> counts;
    for (const auto& placement : PlacementsOf(program, program.ops[static_cast<size_t>(op)], rank, 8)) counts.push_back(placement.nodes);
    return counts;
  };
  EXPECT_EQ(nodes(0, 0), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(nodes(0, 6), (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(nodes(2, 0), (std::vector<int64_t>{1, 2}));
}

// Takes longer the fewer of its ranks share a node, and the more groups share its cards.
class SpreadEstimator : public cost::Estimator {
 public:
  Result<cost::Estimate> EstimateOp(const ir::OpSignature&) const override { return cost::Estimate{}; }
  Result<cost::Estimate> EstimateCollective(const ir::CollectiveSignature& of) const override {
    return cost::Estimate{Duration::Picoseconds(1000 * of.ranks / of.ranks_per_node + of.groups_per_node), cost::Source::kAnalytic,
                          Bytes()};
  }
  Result<cost::HostCosts> EstimateHost() const override { return cost::HostCosts{}; }
};

// Takes 1 us an op, 10 us a collective; two ranks wait 3 us at neg and 4 us at relu.
class UnevenEstimator : public cost::Estimator {
 public:
  Result<cost::Estimate> EstimateOp(const ir::OpSignature& op) const override {
    cost::Estimate estimate;
    estimate.duration = Duration::Microseconds(1);
    estimate.ranks_wait = Duration::Microseconds(op.target == "aten.neg" ? 3 : 4);
    return estimate;
  }
  Result<cost::Estimate> EstimateCollective(const ir::CollectiveSignature&) const override {
    return cost::Estimate{Duration::Microseconds(10), cost::Source::kMeasured, Bytes()};
  }
  Result<cost::HostCosts> EstimateHost() const override { return cost::HostCosts{}; }
};

// neg and relu, then a collective: sqrt(3^2 + 4^2) = 5 us longer than its 10. The next has one neg before it: 3 us. The last follows at
// once. The message's ends do not run in step: its 10 us stay.
TEST(AddWaitsForRanks, ACollectiveWaitsForTheSlowestRankOfWhatCameBefore) {
  const ir::Program program = test::ProgramFromText(R"(helm-program/1
program waits device=cpu
mesh tensor=2
group tensor = [tensor]
storage x: 40 bytes input persistent
storage y: 40 bytes activation
storage z: 40 bytes activation
storage w: 40 bytes activation
tensor %x: f32[10] @x
input x = %x
#0 %a: f32[10] @y = aten.neg(%x) {phase=forward}
#1 %b: f32[10] @z = aten.relu(%a) {phase=forward}
#2 %c: f32[10] @z = c10d.all_reduce(%b, "sum") {phase=forward group=tensor}
#3 c10d.wait(#2) {phase=forward group=tensor}
#4 %d: f32[10] @w = aten.neg(%c) {phase=forward}
#5 c10d.send(%d, 1, 7) {phase=forward group=tensor}
#6 c10d.wait(#5) {phase=forward group=tensor}
#7 %e: f32[10] @w = c10d.all_reduce(%d, "sum") {phase=forward group=tensor}
#8 c10d.wait(#7) {phase=forward group=tensor}
#9 %f: f32[10] @w = c10d.all_reduce(%e, "sum") {phase=forward group=tensor}
#10 c10d.wait(#9) {phase=forward group=tensor}
output f = %f
)");
  const UnevenEstimator estimator;
  PriceBook prices(estimator, 2);
  auto costs = PriceStep(ir::StepPrograms{{program}}, prices);
  ASSERT_TRUE(costs.ok()) << costs.status().message();
  EXPECT_TRUE(HaveWaits(costs->front()));
  EXPECT_EQ(costs->front().ops[2].duration, Duration::Microseconds(10)) << "prices are of collectives alone";
  AddWaitsForRanks(program, costs->front());
  const auto duration = [&](size_t op) { return costs->front().ops[op].duration; };
  EXPECT_EQ(duration(0), Duration::Microseconds(1));
  EXPECT_EQ(duration(2), Duration::Microseconds(15));
  EXPECT_EQ(duration(5), Duration::Microseconds(10));
  EXPECT_EQ(duration(7), Duration::Microseconds(13));
  EXPECT_EQ(duration(9), Duration::Microseconds(10));
}

// Against every rank of the class asked by itself, over meshes of which nodes hold odd parts.
RC_GTEST_PROP(PriceStep, ACollectiveTakesWhatTheSlowestGroupOfItsClassTakes, ()) {
  const auto pipeline = *rc::gen::inRange<int64_t>(2, 4);
  const ir::Program program = Groups(*rc::gen::inRange<int64_t>(2, 7), *rc::gen::inRange<int64_t>(1, 7), pipeline);
  const auto per_node = *rc::gen::inRange<int64_t>(1, 13);
  const ir::StepPrograms step{std::vector<ir::Program>(static_cast<size_t>(pipeline), program)};
  const SpreadEstimator estimator;
  PriceBook prices(estimator, per_node);
  const auto costs = PriceStep(step, prices);
  RC_ASSERT(costs.ok());
  for (size_t c = 0; c < step.classes.size(); ++c) {
    for (size_t i = 0; i < program.ops.size(); ++i) {
      if (program.ops[i].kind != ir::OpKind::kCollectiveStart) continue;
      Duration slowest;
      for (int64_t rank = 0; rank < ir::WorldSize(program.mesh); ++rank) {
        if (ClassOfRank(step, rank) != c) continue;
        const auto price = estimator.EstimateCollective(CollectiveSignatureOf(program, program.ops[i], rank, per_node));
        slowest = std::max(slowest, price->duration);
      }
      RC_ASSERT((*costs)[c].ops[i].duration == slowest);
    }
  }
}

}  // namespace
}  // namespace helm::sim
