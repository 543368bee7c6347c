#include "ir/lifetime.h"

#include <gtest/gtest.h>

#include "support/sample_programs.h"

namespace helm::ir {
namespace {

// One line for each op: what it allocates (+), what can be freed after it (-), whose handle is dropped after it (~).
std::string Render(const Program& program) {
  const Lifetimes lifetimes = ComputeLifetimes(program);
  std::string text;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    text += "#" + std::to_string(i);
    for (const StorageId storage : lifetimes.allocated_by[i]) text += " +" + program.storage(storage).name;
    for (const StorageId storage : lifetimes.freed_after[i]) text += " -" + program.storage(storage).name;
    for (const TensorId tensor : lifetimes.released_after[i]) text += " ~" + program.tensor(tensor).name;
    text += "\n";
  }
  return text;
}

// y is read by op 4 for the last time, as y.sum; the view w.t by op 1; the loss is an output; nothing persistent is ever freed.
TEST(Lifetimes, OfTheLinearProgram) {
  EXPECT_EQ(Render(test::ParseSample(test::kLinearProgram)), R"(#0
#1 +y ~w.t
#2
#3 ~y
#4 +loss -y ~y.sum
#5 +dy
#6 ~dy
#7 -dy ~dy.t
#8
#9 ~gradient.1
#10 ~gradient.2 ~w.1
)");
}

// The wait at 3 names start 2, so it ends start 0 too, which came before it on the same group; start 1 is on another group and is
// ended at 4. Arguments and results live until then, though no op names them any more.
TEST(Lifetimes, CollectivesKeepWhatTheyTouchUntilTheWait) {
  EXPECT_EQ(Render(test::ParseSample(R"(helm-program/1
program p device=cpu
mesh a=2 b=2
group a = [a]
group b = [b]
#10 %x: f32[4] = aten.ones([4])
#11 %x.all: f32[8] = c10d.all_gather(%x) {group=a}
#12 %z: f32[4] = aten.ones([4])
#13 %z.all: f32[8] = c10d.all_gather(%z) {group=b}
#14 %x.again: f32[8] = c10d.all_gather(%x) {group=a}
c10d.wait(#14) {group=a}
c10d.wait(#13) {group=b}
)")),
            R"(#0 +x
#1 +x.all
#2 +z
#3 +z.all
#4 +x.again
#5 -x -x.all -x.again ~x ~x.all ~x.again
#6 -z -z.all ~z ~z.all
)");
}

TEST(Lifetimes, AWaitDoesNotEndLaterStarts) {
  const Program program = test::ParseSample(R"(helm-program/1
program p device=cpu
mesh a=2
group a = [a]
#0 %x: f32[4] = aten.ones([4])
#1 %y: f32[8] = c10d.all_gather(%x) {group=a}
#2 %z: f32[8] = c10d.all_gather(%x) {group=a}
#3 c10d.wait(#1) {group=a}
#4 c10d.wait(#2) {group=a}
)");
  EXPECT_EQ(EndedBy(program), (std::vector<std::vector<OpId>>{{}, {}, {}, {OpId(1)}, {OpId(2)}}));
}

// A result that nobody uses is freed by its own op; a storage of an output never is.
TEST(Lifetimes, UnusedResultsAndOutputs) {
  EXPECT_EQ(Render(test::ParseSample(R"(helm-program/1
program p device=cpu
storage x: 16 bytes input persistent
tensor %x: f32[4] @x
#0 %values: f32[4], %indices: i64[4] = aten.sort(%x, -1, false)
#1 %half: f32[2] @values = view aten.slice.Tensor(%values, 0, 0, 2)
output half = %half
)")),
            "#0 +values +indices -indices ~indices\n#1 ~values\n");
}

}  // namespace
}  // namespace helm::ir
