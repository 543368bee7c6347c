#include <gtest/gtest.h>

#include "profiler/profile.h"

namespace helm::profiler {
namespace {

TEST(WorkList, IsReadAsItWasWritten) {
  const std::string text =
      "op 0.25 0.125 aten.mm(f32[512,384], f32[384,1024])\n"
      "op 0 0 aten.neg(f32[8])\n"
      "collective all_reduce f32 ranks=4 per_node=2 groups=4 bytes=1048576\n"
      "pair 0.5 0 aten.neg(f32[8]) beside all_reduce f32 ranks=2 per_node=2 bytes=64\n";
  const auto work = ParseWorkList(text);
  ASSERT_TRUE(work.ok()) << work.status().message();
  ASSERT_EQ(work->ops.size(), 2u);
  EXPECT_EQ(work->ops[0].load, (ir::DeviceLoad{0.25, 0.125}));
  EXPECT_EQ(ir::ToText(work->ops[0].op), "aten.mm(f32[512,384], f32[384,1024])");
  ASSERT_EQ(work->pairs.size(), 1u);
  EXPECT_EQ(work->pairs[0].op.load.products, 0.5);
  EXPECT_EQ(KeyOf(work->pairs[0]), "aten.neg(f32[8]) beside all_reduce f32 ranks=2 per_node=2 bytes=64");
  EXPECT_EQ(ToText(*work), text);
}

TEST(WorkList, RefusesOtherLines) {
  for (const char* line :
       {"op aten.neg(f32[8])\n", "op 1 0\n", "op 1 0 aten.neg(\n", "product 1 0 aten.neg(f32[8])\n", "pair 1 0 aten.neg(f32[8])\n"}) {
    EXPECT_FALSE(ParseWorkList(line).ok()) << line;
  }
}

}  // namespace
}  // namespace helm::profiler
