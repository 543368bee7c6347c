#include "ir/program.h"

#include <gtest/gtest.h>

#include "ir/strategy.h"
#include "support/sample_programs.h"

namespace helm::ir {
namespace {

// Mesh 2 x 1 x 3 x 2: rank = tensor + 2 data + 6 pipeline.
Program OnMesh() {
  Program program;
  program.mesh = {{"tensor", 2}, {"context", 1}, {"data", 3}, {"pipeline", 2}};
  program.groups = {{"tensor", {"tensor"}}, {"data", {"data"}}, {"model", {"tensor", "pipeline"}}};
  return program;
}

TEST(Mesh, CoordinatesCountFastestFirst) {
  const Program program = OnMesh();
  EXPECT_EQ(WorldSize(program.mesh), 12);
  EXPECT_EQ(Coordinates(program.mesh, 0), (std::vector<int64_t>{0, 0, 0, 0}));
  EXPECT_EQ(Coordinates(program.mesh, 9), (std::vector<int64_t>{1, 0, 1, 1}));  // 1 + 2 x 1 + 6 x 1
  EXPECT_EQ(Coordinates(program.mesh, 11), (std::vector<int64_t>{1, 0, 2, 1}));
}

TEST(Mesh, GroupMembersDifferOnlyInTheGroupsDimensions) {
  const Program program = OnMesh();
  EXPECT_EQ(GroupMembers(program, GroupId(0), 9), (std::vector<int64_t>{8, 9}));
  EXPECT_EQ(GroupMembers(program, GroupId(1), 9), (std::vector<int64_t>{7, 9, 11}));
  EXPECT_EQ(GroupMembers(program, GroupId(2), 9), (std::vector<int64_t>{2, 3, 8, 9}));  // data 1: tensor 0..1, pipeline 0..1
  EXPECT_EQ(GroupSize(program, GroupId(2)), 4);
}

TEST(Mesh, OfAStrategyKeepsDimensionsOfSizeOne) {
  Strategy strategy;
  strategy.data = 2;
  strategy.tensor = 4;
  EXPECT_EQ(MeshOf(strategy), (std::vector<MeshDimension>{{"tensor", 4}, {"context", 1}, {"data", 2}, {"pipeline", 1}}));
}

TEST(Strategy, IsDescribedByWhatDiffers) {
  Strategy strategy;
  EXPECT_EQ(Describe(strategy), "data 1, tensor 1, micro_batch 1");
  strategy.tensor = 4;
  strategy.sequence_parallel = true;
  strategy.zero = 1;
  strategy.overlap = "serial";
  EXPECT_EQ(Describe(strategy), "data 1, tensor 4, sequence_parallel, zero 1, micro_batch 1, overlap serial");
}

TEST(RankExpression, IsLinearInTheCoordinates) {
  const RankExpression expression{7, {{"tensor", 100}, {"data", -3}}};
  EXPECT_EQ(ToText(expression), "7+100*tensor-3*data");
  EXPECT_EQ(Evaluate(expression, OnMesh().mesh, {1, 0, 2, 0}), 7 + 100 - 6);
}

TEST(Shape, StridesAndExtents) {
  EXPECT_EQ(ContiguousStrides({2, 3, 4}), (Shape{12, 4, 1}));
  EXPECT_EQ(ContiguousStrides({2, 0, 4}), (Shape{4, 4, 1}));  // as torch.empty(2, 0, 4).stride()
  EXPECT_EQ(ElementCount({}), 1);
  // Rows 0..2 and columns 0..1 of a [3, 4] matrix, from element 1 on: the last element is 1 + 2 x 4 + 1 = 10.
  const Tensor window{"window", DataType::kBFloat16, {3, 2}, {4, 1}, 1, StorageId(0), OpId()};
  EXPECT_EQ(ExtentOf(window), (Extent{2, 22}));
  EXPECT_EQ(TensorBytes(window), Bytes(12));
  EXPECT_FALSE(IsContiguous(window));
  const Tensor empty{"empty", DataType::kFloat32, {0, 2}, {2, 1}, 3, StorageId(0), OpId()};
  EXPECT_EQ(ExtentOf(empty), (Extent{12, 12}));
}

TEST(Op, WritesWhatLiesOnAnArgumentsStorage) {
  const Program program = test::ParseSample(test::kLinearProgram);
  const auto names = [&](size_t op) {
    std::string text;
    for (const TensorId tensor : WrittenTensors(program, program.ops[op])) text += program.tensor(tensor).name + " ";
    return text;
  };
  EXPECT_EQ(names(0), "");             // a view
  EXPECT_EQ(names(1), "");             // a fresh result
  EXPECT_EQ(names(2), "y.sum ");       // all_reduce
  EXPECT_EQ(names(7), "gradient.1 ");  // out=
  EXPECT_EQ(names(10), "w.1 ");        // in place
}

TEST(Op, IsDescribedWithItsPlaceInTheModel) {
  const Program program = test::ParseSample(test::kLinearProgram);
  EXPECT_EQ(Describe(program, OpId(1)), "#1 aten.mm 'linear' layer 0 micro-batch 0");
  EXPECT_EQ(Describe(program, OpId(10)), "#10 aten.add_.Tensor");
}

TEST(Collective, BytesAreThoseOfTheFullTensor) {
  const Program program = test::ParseSample(R"(helm-program/1
program p device=cpu
mesh tensor=4
group tensor = [tensor]
storage x: 64 bytes input persistent
tensor %x: f32[4,4] @x
#0 %all: f32[16,4] = c10d.all_gather(%x) {group=tensor}
c10d.wait(#0) {group=tensor}
#2 %part: f32[4,4] = c10d.reduce_scatter(%all, "sum") {group=tensor}
c10d.wait(#2) {group=tensor}
#4 %x.1: f32[4,4] @x = c10d.all_reduce(%x, "sum") {group=tensor}
c10d.wait(#4) {group=tensor}
)");
  EXPECT_EQ(CollectiveBytes(program, program.ops[0]), Bytes(256));  // all_gather: the output
  EXPECT_EQ(CollectiveBytes(program, program.ops[2]), Bytes(256));  // reduce_scatter: the input
  EXPECT_EQ(CollectiveBytes(program, program.ops[4]), Bytes(64));
}

}  // namespace
}  // namespace helm::ir
