#include "exec/parameter_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace helm::exec {
namespace {

const std::vector<ir::MeshDimension> kTwoTensorRanks{{"tensor", 2}, {"data", 1}};

// A 5 x 3 parameter whose rows are split over two ranks, three each: the last row of rank 1 is padding.
ir::ParameterPiece RowSplit(const std::string& name, int64_t offset) {
  ir::ParameterPiece piece;
  piece.name = name;
  piece.global_shape = {5, 3};
  piece.box_offset = {{0, {{"tensor", 3}}}, {}};
  piece.box_shape = {3, 3};
  piece.offset = offset;
  return piece;
}

// A 2 x 4 parameter whose columns are split.
ir::ParameterPiece ColumnSplit(const std::string& name, int64_t offset) {
  ir::ParameterPiece piece;
  piece.name = name;
  piece.global_shape = {2, 4};
  piece.box_offset = {{}, {0, {{"tensor", 2}}}};
  piece.box_shape = {2, 2};
  piece.offset = offset;
  piece.transposed = true;
  return piece;
}

ir::Program ProgramOf(std::vector<ir::ParameterPiece> pieces, int64_t elements) {
  ir::Program program;
  program.mesh = kTwoTensorRanks;
  ir::ParameterSegment segment;
  segment.name = "bucket0";
  segment.elements = elements;
  segment.pieces = std::move(pieces);
  program.segments.push_back(std::move(segment));
  return program;
}

TEST(ParameterState, RowsThatFollowEachOtherAreOneRun) {
  EXPECT_EQ(RunsOf(RowSplit("w", 10), kTwoTensorRanks, {0, 0}), (std::vector<ElementRun>{{10, 0, 9}}));
  // Rows 3 and 4 of 5: six elements from 9 on; row 5 is padding.
  EXPECT_EQ(RunsOf(RowSplit("w", 10), kTwoTensorRanks, {1, 0}), (std::vector<ElementRun>{{10, 9, 6}}));
}

TEST(ParameterState, ColumnsAreOneRunPerRow) {
  EXPECT_EQ(RunsOf(ColumnSplit("w", 0), kTwoTensorRanks, {1, 0}), (std::vector<ElementRun>{{0, 2, 2}, {2, 6, 2}}));
}

TEST(ParameterState, BoxOutsideTheParameterIsEmpty) {
  ir::ParameterPiece piece = RowSplit("w", 0);
  piece.global_shape = {3, 3};
  EXPECT_EQ(RunsOf(piece, kTwoTensorRanks, {1, 0}), std::vector<ElementRun>{});
}

TEST(ParameterState, AScalarIsOneElement) {
  ir::ParameterPiece piece;
  piece.offset = 4;
  EXPECT_EQ(RunsOf(piece, kTwoTensorRanks, {0, 0}), (std::vector<ElementRun>{{4, 0, 1}}));
}

TEST(ParameterState, UnsplitsRowsColumnsAndPadding) {
  const ir::Program program = ProgramOf({RowSplit("rows", 0), ColumnSplit("columns", 9)}, 13);
  std::vector<RankState> ranks(2);
  ranks[0].segments = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 100, 101, 104, 105}};
  ranks[1].segments = {{9, 10, 11, 12, 13, 14, -1, -1, -1, 102, 103, 106, 107}};  // -1: padding, dropped
  const Result<UnsplitState> state = Unsplit({{program}}, ranks);
  ASSERT_TRUE(state.ok()) << state.status().message();
  EXPECT_EQ(state->at("rows").values, (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}));
  EXPECT_EQ(state->at("columns").values, (std::vector<float>{100, 101, 102, 103, 104, 105, 106, 107}));

  // In the file the transposed one is [4, 2]: columns first.
  const formats::TensorFile file = ToTensorFile(*state);
  ASSERT_EQ(file.tensors.size(), 2U);
  EXPECT_EQ(file.tensors[0].name, "columns");
  EXPECT_EQ(file.tensors[0].shape, (ir::Shape{4, 2}));
  EXPECT_EQ(formats::FloatValues(file.tensors[0]), (std::vector<float>{100, 104, 101, 105, 102, 106, 103, 107}));
  EXPECT_EQ(file.tensors[1].shape, (ir::Shape{5, 3}));
}

TEST(ParameterState, AnElementThatNoRankHoldsIsABug) {
  ir::ParameterPiece piece = RowSplit("w", 0);
  piece.box_shape = {2, 3};  // rank 0: rows 0 and 1, rank 1: rows 3 and 4; row 2 is element 6 on
  const ir::Program program = ProgramOf({piece}, 6);
  std::vector<RankState> ranks(2);
  ranks[0].segments = ranks[1].segments = {{1, 2, 3, 4, 5, 6}};
  const Result<UnsplitState> state = Unsplit({{program}}, ranks);
  ASSERT_FALSE(state.ok());
  EXPECT_EQ(state.status().code(), StatusCode::kInternal);
  EXPECT_THAT(state.status().message(), testing::HasSubstr("no rank holds element 6 of parameter 'w'"));
}

TEST(ParameterState, ARanksStateSurvivesItsFile) {
  const ir::Program program = ProgramOf({RowSplit("w", 0)}, 9);
  const RankState state{{{1, 2, 3, 4, 5, 6, 7, 8, 9}}};
  const Result<RankState> read = RankStateFromFile(program, ToTensorFile(program, state), "file");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->segments, state.segments);
  EXPECT_FALSE(RankStateFromFile(ProgramOf({RowSplit("w", 0)}, 10), ToTensorFile(program, state), "file").ok());
}

}  // namespace
}  // namespace helm::exec
