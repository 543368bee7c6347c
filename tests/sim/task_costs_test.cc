#include "sim/task_costs.h"

#include <gtest/gtest.h>

#include "support/program_from_text.h"

namespace helm::sim {
namespace {

// Ranks 0-3 and 4-7 are the tensor groups of stage 0, 8-15 those of stage 1.
ir::Program Groups() {
  return test::ProgramFromText(R"(helm-program/1
program groups device=cuda
mesh tensor=4 data=2 pipeline=2
group tensor = [tensor]
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

}  // namespace
}  // namespace helm::sim
