#include "schedule/serial.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "support/program_from_text.h"
#include "support/random_program.h"

namespace helm::schedule {
namespace {

constexpr std::string_view kHead = R"(helm-program/1
program p device=cpu
mesh tensor=2 data=2
group tensor = [tensor]
group data = [data]
storage x: 16 bytes input persistent
tensor %x: f32[4] @x
input x = %x
)";

ir::Program With(std::string_view statements) { return test::ProgramFromText(std::string(kHead) + std::string(statements)); }
std::string SerialText(std::string_view statements) { return ir::ToText(MakeSerial(With(statements))); }

// The example of serial.h, with two groups: each wait moves up behind the start that it names; ops that stand between move down by one for
// each wait that passes them, and the waits' #N with their starts.
TEST(MakeSerial, PutsEveryWaitBehindItsStart) {
  const std::string serial = SerialText(R"(#0 %a: f32[8] = c10d.all_gather(%x) {group=tensor}
#1 %b: f32[4] = aten.neg(%x)
#2 %c: f32[8] = c10d.all_gather(%b) {group=data}
#3 %d: f32[4] = aten.add.Tensor(%b, %x)
#4 c10d.wait(#0) {group=tensor}
#5 c10d.wait(#2) {group=data}
#6 %e: f32[8] = aten.add.Tensor(%a, %c)
output d = %d
output e = %e
)");
  EXPECT_EQ(serial, ir::ToText(With(R"(#0 %a: f32[8] = c10d.all_gather(%x) {group=tensor}
#1 c10d.wait(#0) {group=tensor}
#2 %b: f32[4] = aten.neg(%x)
#3 %c: f32[8] = c10d.all_gather(%b) {group=data}
#4 c10d.wait(#3) {group=data}
#5 %d: f32[4] = aten.add.Tensor(%b, %x)
#6 %e: f32[8] = aten.add.Tensor(%a, %c)
output d = %d
output e = %e
)")));
}

// One wait may end several collectives of its group (a, then b): it goes behind the last of them, which it names, and a gets no wait of its
// own. Ended earlier than before is all that is promised.
TEST(MakeSerial, AWaitForSeveralStaysBehindTheLast) {
  const std::string serial = SerialText(R"(#0 %a: f32[8] = c10d.all_gather(%x) {group=tensor}
#1 %n: f32[4] = aten.neg(%x)
#2 %b: f32[8] = c10d.all_gather(%n) {group=tensor}
#3 %m: f32[4] = aten.abs(%n)
#4 c10d.wait(#2) {group=tensor}
#5 %c: f32[8] = aten.add.Tensor(%a, %b)
output c = %c
output m = %m
)");
  EXPECT_EQ(serial, ir::ToText(With(R"(#0 %a: f32[8] = c10d.all_gather(%x) {group=tensor}
#1 %n: f32[4] = aten.neg(%x)
#2 %b: f32[8] = c10d.all_gather(%n) {group=tensor}
#3 c10d.wait(#2) {group=tensor}
#4 %m: f32[4] = aten.abs(%n)
#5 %c: f32[8] = aten.add.Tensor(%a, %b)
output c = %c
output m = %m
)")));
}

std::vector<std::string> TargetsWithoutWaits(const ir::Program& program) {
  std::vector<std::string> targets;
  for (const ir::Op& op : program.ops) {
    if (op.kind != ir::OpKind::kWait) targets.push_back(op.target + " " + program.tensor(op.results[0]).name);
  }
  return targets;
}

// Of any program: valid afterwards, the other ops in their order, each wait directly behind its start, and nothing left to do.
RC_GTEST_PROP(MakeSerialProperty, MovesNothingButWaits, ()) {
  const ir::Program program = test::RandomProgram();
  const ir::Program serial = MakeSerial(program);
  RC_ASSERT(ir::Verify(serial).message() == "");
  RC_ASSERT(TargetsWithoutWaits(serial) == TargetsWithoutWaits(program));
  RC_ASSERT(serial.ops.size() == program.ops.size());
  for (size_t i = 0; i < serial.ops.size(); ++i) {
    if (serial.ops[i].kind == ir::OpKind::kWait) RC_ASSERT(ir::StartOf(serial.ops[i]) == ir::OpId(i - 1));
  }
  RC_ASSERT(ir::ToText(MakeSerial(serial)) == ir::ToText(serial));
}

}  // namespace
}  // namespace helm::schedule
