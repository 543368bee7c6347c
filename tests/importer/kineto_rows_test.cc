#include "importer/kineto_rows.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"

namespace helm::importer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

formats::KinetoTrace Sample(int rank) {
  const std::string name = "rank" + std::to_string(rank) + "_trace.json";
  return formats::ParseKinetoTrace(ReadFile("tests/samples/kineto/" + name).value(), name).value();
}

// 8192 floats: 32 KiB. Rank 0 waits 60 us in each of the three all-reduces; rank 1 sees 90, 110 and 90 us.
TEST(KinetoRows, TakesTheRankThatCameLast) {
  const ImportedRows rows = RowsOf({Sample(0), Sample(1)}, {.devices_per_node = 8}).value();
  EXPECT_EQ(rows.device, "NVIDIA H100 80GB HBM3");
  const auto measured = MeasurementsOf(rows.collectives);
  ASSERT_EQ(measured.size(), 1U);
  const cost::Measurement& row = measured.at("all_reduce f32 ranks=2 per_node=2 bytes=32768");
  EXPECT_EQ(row.median, Duration::Microseconds(90));
  EXPECT_EQ(row.quartile_upper, Duration::Microseconds(100));
  EXPECT_EQ(row.samples, 3);
  EXPECT_THAT(rows.remarks, IsEmpty());
}

// One GPU a node: the group spans two nodes, and no other group shares them.
TEST(KinetoRows, PlacesTheGroup) {
  const ImportedRows rows = RowsOf({Sample(0)}, {.devices_per_node = 1}).value();
  ASSERT_EQ(rows.collectives.size(), 1U);
  EXPECT_EQ(rows.collectives.begin()->first, "all_reduce f32 ranks=2 per_node=1 bytes=32768");
  EXPECT_THAT(rows.remarks, ElementsAre(HasSubstr("3 of 3 collectives were recorded by some of their ranks only")));
  EXPECT_THAT(RowsOf({Sample(0)}, {}).status().message(), HasSubstr("give a run configuration too"));
}

// Three steps of two ranks: six runs of each product, each for every marking of its operands: 8 rows of addmm, 4 of each mm. The transposed
// weight has its strides; 22.5, 18 and 20 us.
TEST(KinetoRows, KnowsProductsByTheirShapes) {
  const ImportedRows rows = RowsOf({Sample(0), Sample(1)}, {.devices_per_node = 8}).value();
  const auto measured = MeasurementsOf(rows.ops);
  ASSERT_EQ(measured.size(), 16U);
  const cost::Measurement& forward = measured.at("aten.addmm(@f32[128], f32[32,64], @f32[64,128]{1,64})");
  EXPECT_EQ(forward.median, Duration::Microseconds(22.5));
  EXPECT_EQ(forward.samples, 6);
  EXPECT_EQ(measured.at("aten.mm(f32[32,128], @f32[128,64])").median, Duration::Microseconds(18));
  EXPECT_EQ(measured.at("aten.mm(f32[128,32]{1,128}, f32[32,64])").median, Duration::Microseconds(20));
}

// A factor of 2 is another product; without shapes nobody knows which it is; a type that no program has; a size of no use.
TEST(KinetoRows, LeavesOutProductsThatItCannotName) {
  formats::KinetoTrace trace;
  trace.names = {"aten::addmm", "kernel"};
  const formats::KinetoOperand bias{"float", {4}, {1}, ""}, matrix{"float", {4, 4}, {4, 1}, ""}, one{"Scalar", {}, {}, "1"};
  trace.operands = {{bias, matrix, matrix, {"Scalar", {}, {}, "2"}, one},
                    {bias, matrix, {"double", {4, 4}, {4, 1}, ""}, one, one},
                    {bias, matrix, {"float", {4, int64_t{1} << 60}, {4, 1}, ""}, one, one},
                    {bias, matrix, matrix, one, one}};
  for (int32_t i = -1; i < 4; ++i) {
    const int64_t id = i + 2;
    trace.events.push_back({.kind = formats::KinetoEvent::Kind::kOperator, .external_id = id, .operands = i});
    trace.events.push_back({.kind = formats::KinetoEvent::Kind::kKernel, .name = 1, .duration_ns = 1000, .external_id = id});
  }
  const ImportedRows rows = RowsOf({trace}, {.devices_per_node = 4}).value();
  EXPECT_EQ(rows.ops.size(), 8U);
  EXPECT_THAT(rows.omissions.Lines(),
              ElementsAre("left out: matrix products without shapes (record_shapes), of other types or with factors: 4"));
}

// Ranks 0, 4, 8 and 12 of nodes of four: one on each; four groups share each node. What it gathers is what comes out: 4 x 1024 x 2 bytes.
TEST(KinetoRows, CountsTheFullTensor) {
  formats::KinetoTrace trace;
  trace.names = {"nccl"};
  trace.collectives = {{"_allgather_base", "BFloat16", 1024, 4096, 4, 1, "2", "dp", {0, 4, 8, 12}},
                       {"_allgather_base", "Float8_e4m3fn", 1024, 4096, 4, 2, "2", "dp", {0, 4, 8, 12}},
                       {"barrier", "Float", 1, 1, 4, 3, "2", "dp", {0, 4, 8, 12}},
                       {"allreduce", "Float", 1, 1, 64, 3, "2", "dp", {}}};
  for (int32_t i = 0; i < 4; ++i) {
    formats::KinetoEvent event{.kind = formats::KinetoEvent::Kind::kKernel, .duration_ns = 1000};
    event.collective = i;
    trace.events.push_back(event);
  }
  const ImportedRows rows = RowsOf({trace}, {.devices_per_node = 4}).value();
  ASSERT_EQ(rows.collectives.size(), 1U);
  EXPECT_EQ(rows.collectives.begin()->first, "all_gather bf16 ranks=4 per_node=1 groups=4 bytes=8192");
  EXPECT_THAT(rows.omissions.Lines(), ElementsAre("left out: collectives of element type 'Float8_e4m3fn': 1",
                                                  "left out: collectives whose ranks the trace does not list: 1",
                                                  "left out: kernels of 'barrier', which is no collective of a cost table: 1"));
}

}  // namespace
}  // namespace helm::importer
