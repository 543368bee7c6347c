#include "importer/inspector_rows.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"

namespace helm::importer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

formats::InspectorDump Dump(int rank) {
  const std::string name = "rank" + std::to_string(rank) + ".log";
  return formats::ParseInspectorDump(ReadFile("tests/samples/nccl_inspector/" + name).value(), name).value();
}

// The all-reduce inside a node ran four times, twice on each: ranks 0 and 2 saw 95 and 42 us, ranks 1 and 3, who came last, 40 and 44 us:
// samples 40 42 40 42. The reduce-scatter across, 1 MiB of each of two ranks: 2 MiB; two groups share each node's cards; 120 us for who
// came last.
TEST(InspectorRows, TakesTheRankThatCameLast) {
  const ImportedRows rows = RowsOf({Dump(0), Dump(1), Dump(2), Dump(3)}, {.dtype = ir::DataType::kBFloat16}).value();
  const auto measured = MeasurementsOf(rows.collectives);
  ASSERT_EQ(measured.size(), 2U);
  const cost::Measurement& inside = measured.at("all_reduce bf16 ranks=2 per_node=2 bytes=1048576");
  EXPECT_EQ(inside.median, Duration::Microseconds(41));
  EXPECT_EQ(inside.samples, 4);
  const cost::Measurement& across = measured.at("reduce_scatter bf16 ranks=2 per_node=1 groups=2 bytes=2097152");
  EXPECT_EQ(across.median, Duration::Microseconds(120));
  EXPECT_EQ(across.samples, 2);
  EXPECT_THAT(rows.remarks, IsEmpty());
  EXPECT_THAT(rows.omissions.Lines(),
              ElementsAre("left out: lines that are no records of the NCCL Inspector: 1 (the first at rank0.log:7)",
                          "left out: messages (an all-to-all is made of them, so they do not stand alone): 1 (the first at rank0.log:5)",
                          "left out: records of Reduce, a collective that no program has: 1 (the first at rank0.log:6)",
                          "left out: records whose time was not taken by the GPU: 1 (the first at rank0.log:4)"));
}

TEST(InspectorRows, SaysWhenRanksAreMissing) {
  const ImportedRows rows = RowsOf({Dump(1)}, {.dtype = ir::DataType::kBFloat16}).value();
  EXPECT_THAT(rows.remarks, ElementsAre(HasSubstr("3 of 3 collectives were recorded by some of their ranks only")));
}

TEST(InspectorRows, NeedsTheElementType) { EXPECT_THAT(RowsOf({Dump(1)}, {}).status().message(), HasSubstr("say with --dtype")); }

}  // namespace
}  // namespace helm::importer
