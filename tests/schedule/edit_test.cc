#include "schedule/edit.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>

#include "support/program_from_text.h"
#include "support/random_program.h"

namespace helm::schedule {
namespace {

constexpr std::string_view kHead = R"(helm-program/1
program p device=cpu
mesh tensor=2
group tensor = [tensor]
storage x: 16 bytes input persistent
tensor %x: f32[4] @x
input x = %x
)";

constexpr std::string_view kStatements = R"(#0 %a: f32[4] = aten.neg(%x)
#1 %b: f32[8] = c10d.all_gather(%a) {group=tensor}
#2 %c: f32[4] = aten.abs(%x)
#3 %d: f32[8] = aten.cat([%a, %c])
#4 c10d.wait(#1) {group=tensor}
#5 %e: f32[8] = aten.add.Tensor(%b, %d)
output d = %d
output e = %e
)";

ir::Program With(std::string_view statements) { return test::ProgramFromText(std::string(kHead) + std::string(statements)); }

std::vector<ir::OpId> Order(const std::vector<size_t>& numbers) {
  std::vector<ir::OpId> order;
  for (const size_t number : numbers) order.emplace_back(number);
  return order;
}

// New op i is old op order[i]. Tensors keep their numbers, which is why the text form states the order of the declarations: the tensors are
// x a b c d e, and c (old 3) now comes first, then a, b, d, e. The wait names its start's new number.
TEST(Reorder, RenumbersOpsAndWhatNamesThem) {
  const ir::Program reordered = Reorder(With(kStatements), Order({2, 0, 3, 1, 4, 5}));
  EXPECT_EQ(ir::Verify(reordered).message(), "");
  EXPECT_EQ(ir::ToText(reordered), ir::ToText(With(R"(#0 %c: f32[4] = aten.abs(%x)
#1 %a: f32[4] = aten.neg(%x)
#2 %d: f32[8] = aten.cat([%a, %c])
#3 %b: f32[8] = c10d.all_gather(%a) {group=tensor}
#4 c10d.wait(#3) {group=tensor}
#5 %e: f32[8] = aten.add.Tensor(%b, %d)
output d = %d
output e = %e
order tensors [0, 3, 1, 4, 2, 5]
order storages [0, 3, 1, 4, 2, 5]
)")));
}

// Without the collective, its wait and what reads its result: the tensors b and e and the output e go; the storages stay where they were,
// with nothing on those of b and e.
TEST(KeepOps, DropsTensorsAndOutputsOfWhatGoes) {
  const Result<ir::Program> kept = KeepOps(With(kStatements), {true, false, true, true, false, false});
  ASSERT_TRUE(kept.ok()) << kept.status().message();
  EXPECT_EQ(ir::Verify(*kept).message(), "");
  std::vector<std::string> names;
  for (const ir::Tensor& tensor : kept->tensors) names.push_back(tensor.name);
  EXPECT_EQ(names, (std::vector<std::string>{"x", "a", "c", "d"}));
  ASSERT_EQ(kept->ops.size(), 3U);
  EXPECT_EQ(kept->ops[2].target, "aten.cat");
  EXPECT_EQ(std::get<std::vector<ir::TensorId>>(kept->ops[2].arguments[0]), (std::vector{ir::TensorId(1), ir::TensorId(2)}));
  EXPECT_EQ(kept->tensor(ir::TensorId(3)).producer, ir::OpId(2));
  EXPECT_EQ(kept->outputs, (std::map<std::string, ir::TensorId>{{"d", ir::TensorId(3)}}));
  EXPECT_EQ(kept->inputs, (std::map<std::string, ir::TensorId>{{"x", ir::TensorId(0)}}));
}

TEST(KeepOps, NamesTheOpThatWouldReadNothing) {
  const Result<ir::Program> kept = KeepOps(With(kStatements), {true, true, false, true, true, true});
  EXPECT_EQ(kept.status().code(), StatusCode::kInternal);
  EXPECT_EQ(kept.status().message(), "op 3 (aten.cat) stays, but reads 'c', whose producer goes");
}

TEST(KeepOps, AWaitNeedsItsStart) {
  // The reader of b goes too, so that the wait is all that is left of the collective.
  const Result<ir::Program> kept = KeepOps(With(kStatements), {true, false, true, true, true, false});
  EXPECT_EQ(kept.status().code(), StatusCode::kInternal);
  EXPECT_EQ(kept.status().message(), "op 4 waits for one that goes");
}

// Of the views of %x one leads to the op that goes, over a second one; the other is read by an op that stays, and by the one that goes.
TEST(DropUnreadViews, DropsWhatOnlyLedToOpsThatGo) {
  const ir::Program program = With(R"(#0 %r: f32[2,2] @x = view aten.view(%x, [2, 2])
#1 %t: f32[2,2]{1,2} @x = view aten.t(%r)
#2 %s: f32[2,2] @x = view aten.view(%x, [2, 2])
#3 %g: f32[2,2] = aten.add.Tensor(%t, %s)
#4 %k: f32[2,2] = aten.neg(%s)
output g = %g
output k = %k
)");
  std::vector<bool> keep = {true, true, true, false, true};
  ir::Program left = program;
  left.outputs.erase("g");
  DropUnreadViews(left, keep);
  EXPECT_EQ(keep, (std::vector<bool>{false, false, true, false, true}));
}

std::vector<ir::OpId> Identity(const ir::Program& program) {
  std::vector<size_t> numbers(program.ops.size());
  std::iota(numbers.begin(), numbers.end(), size_t{0});
  return Order(numbers);
}

// Any order and then its inverse is the program itself; to keep everything changes nothing.
RC_GTEST_PROP(EditProperty, UndoneByItsInverse, ()) {
  const ir::Program program = test::RandomProgram();
  std::vector<ir::OpId> order = Identity(program);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[*rc::gen::inRange<size_t>(0, i)]);
  std::vector<ir::OpId> inverse = order;
  for (size_t i = 0; i < order.size(); ++i) inverse[order[i].index()] = ir::OpId(i);
  RC_ASSERT(ir::ToText(Reorder(Reorder(program, order), inverse)) == ir::ToText(program));
  const Result<ir::Program> all = KeepOps(program, std::vector<bool>(program.ops.size(), true));
  RC_ASSERT(all.ok() && ir::ToText(*all) == ir::ToText(program));
}

// The first n ops read nothing of a later one, so KeepOps takes any n, and they stay as they are.
RC_GTEST_PROP(EditProperty, KeepsAnyPrefix, ()) {
  const ir::Program program = test::RandomProgram();
  const auto count = *rc::gen::inRange<size_t>(0, program.ops.size() + 1);
  std::vector<bool> keep(program.ops.size(), false);
  std::fill_n(keep.begin(), count, true);
  const Result<ir::Program> kept = KeepOps(program, keep);
  RC_ASSERT(kept.ok());
  RC_ASSERT(kept->ops.size() == count);
  for (size_t i = 0; i < count; ++i) {
    RC_ASSERT(kept->ops[i].target == program.ops[i].target);
    if (kept->ops[i].results.empty()) continue;
    RC_ASSERT(kept->tensor(kept->ops[i].results[0]).name == program.tensor(program.ops[i].results[0]).name);
  }
}

}  // namespace
}  // namespace helm::schedule
