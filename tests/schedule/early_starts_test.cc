#include "schedule/early_starts.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "ir/target.h"
#include "ir/verify.h"
#include "support/program_from_text.h"
#include "support/random_program.h"

namespace helm::schedule {
namespace {

ir::Program With(std::string_view statements) {
  return test::ProgramFromText(std::string(R"(helm-program/1
program p device=cpu
mesh tensor=2
group tensor = [tensor]
storage x: 16 bytes input persistent
storage y: 16 bytes input persistent
tensor %x: f32[4] @x
tensor %y: f32[4] @y
input x = %x
input y = %y
)") + std::string(statements));
}

std::string OpsOf(const ir::Program& program) {
  std::string text;
  for (const ir::Op& op : program.ops) {
    const bool waits = op.kind == ir::OpKind::kWait;
    text += ir::BaseName(op.target) + " " + (waits ? std::to_string(ir::StartOf(op).index()) : program.tensor(op.results[0]).name) + ", ";
  }
  return text;
}

// Two tiles, op by op: the first one's product runs as soon as its gather has come, beside the second gather, and what it feeds starts at
// once, beside the second product. The last waits come where their results are needed, or at the end.
TEST(StartEarly, OverlapsAProductWithItsOwnCollectives) {
  const ir::Program early = StartEarly(With(R"(#0 %a: f32[8] = c10d.all_gather(%x) {group=tensor}
#1 %b: f32[8] = c10d.all_gather(%y) {group=tensor tile=1}
#2 c10d.wait(#0) {group=tensor}
#3 c10d.wait(#1) {group=tensor tile=1}
#4 %c: f32[8] = aten.neg(%a)
#5 %d: f32[8] = aten.neg(%b) {tile=1}
#6 %e: f32[4] = c10d.reduce_scatter(%c, "sum") {group=tensor}
#7 %f: f32[4] = c10d.reduce_scatter(%d, "sum") {group=tensor tile=1}
#8 c10d.wait(#6) {group=tensor}
#9 c10d.wait(#7) {group=tensor tile=1}
#10 %g: f32[4] = aten.abs(%e)
output f = %f
output g = %g
)"));
  EXPECT_EQ(ir::Verify(early).message(), "");
  EXPECT_EQ(OpsOf(early),
            "all_gather a, all_gather b, wait 0, neg c, reduce_scatter e, wait 1, neg d, reduce_scatter f, wait 4, abs g, wait 7, ");
}

// Of any program: valid afterwards, and what computes is there in its order.
RC_GTEST_PROP(StartEarlyProperty, KeepsTheOrderOfWhatComputes, ()) {
  const ir::Program program = test::RandomProgram();
  const ir::Program early = StartEarly(program);
  RC_ASSERT(ir::Verify(early).message() == "");
  RC_ASSERT(early.ops.size() == program.ops.size());
  const auto computes = [](const ir::Program& of) {
    std::vector<std::string> names;
    for (const ir::Op& op : of.ops) {
      if (op.kind == ir::OpKind::kCompute || op.kind == ir::OpKind::kView) names.push_back(of.tensor(op.results[0]).name);
    }
    return names;
  };
  RC_ASSERT(computes(early) == computes(program));
}

}  // namespace
}  // namespace helm::schedule
