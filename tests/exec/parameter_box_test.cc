#include "exec/parameter_box.h"

#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace helm::exec {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<ir::MeshDimension> kTwoTensorRanks{{"tensor", 2}, {"data", 1}};

// Rows of [5, 3] over two ranks, three each (rank 1's last row is padding), from element 10 of the segment on.
ir::ParameterPiece RowSplit() {
  ir::ParameterPiece piece;
  piece.global_shape = {5, 3};
  piece.box_offset = {{0, {{"tensor", 3}}}, {}};
  piece.box_shape = {3, 3};
  piece.offset = 10;
  return piece;
}

TEST(ParameterBox, OfAWholePieceIsOneWithoutPadding) {
  EXPECT_THAT(BoxesOf(RowSplit(), kTwoTensorRanks, {0, 0}, {0, 100}), ElementsAre(ParameterBox{{0, 0}, {3, 3}}));
  EXPECT_THAT(BoxesOf(RowSplit(), kTwoTensorRanks, {1, 0}, {0, 100}), ElementsAre(ParameterBox{{3, 0}, {2, 3}}));
  EXPECT_THAT(BoxesOf(RowSplit(), kTwoTensorRanks, {0, 0}, {0, 10}), IsEmpty());
  EXPECT_THAT(BoxesOf(RowSplit(), kTwoTensorRanks, {0, 0}, {19, 30}), IsEmpty());
  // Only padding: row 5 of 5.
  EXPECT_THAT(BoxesOf(RowSplit(), kTwoTensorRanks, {1, 0}, {16, 19}), IsEmpty());
}

// Elements 1 to 7 of 3 x 3: two of the first row, the second row, one of the third.
TEST(ParameterBox, OfARangeAreBeginningRowsAndEnd) {
  EXPECT_THAT(BoxesOf(RowSplit(), kTwoTensorRanks, {0, 0}, {11, 17}),
              ElementsAre(ParameterBox{{0, 1}, {1, 2}}, ParameterBox{{1, 0}, {1, 3}}, ParameterBox{{2, 0}, {1, 1}}));
  EXPECT_THAT(BoxesOf(RowSplit(), kTwoTensorRanks, {0, 0}, {14, 15}), ElementsAre(ParameterBox{{1, 1}, {1, 1}}));
}

// Every range of a piece of three dimensions, padded in the first two: its boxes hold each unpadded element of the range once, 2 x 3 - 1
// boxes at most.
TEST(ParameterBox, BoxesOfEveryRangeHoldItsElementsOnce) {
  ir::ParameterPiece piece;
  piece.global_shape = {3, 2, 4};
  piece.box_shape = {4, 3, 4};
  piece.box_offset = {{}, {}, {}};
  piece.offset = 2;
  for (int64_t begin = 0; begin <= 50; ++begin) {
    for (int64_t end = begin; end <= 50; ++end) {
      std::vector<int> held(24, 0), expected(24, 0);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t in_piece = i - piece.offset, row = in_piece / 12, middle = in_piece / 4 % 3, column = in_piece % 4;
        if (in_piece >= 0 && in_piece < 48 && row < 3 && middle < 2) ++expected[static_cast<size_t>((row * 2 + middle) * 4 + column)];
      }
      const std::vector<ParameterBox> boxes = BoxesOf(piece, kTwoTensorRanks, {0, 0}, {begin, end});
      EXPECT_LE(boxes.size(), 5U);
      for (const ParameterBox& box : boxes) {
        for (int64_t i = 0; i < ir::ElementCount(box.shape); ++i) {
          const int64_t column = box.offset[2] + i % box.shape[2], middle = box.offset[1] + i / box.shape[2] % box.shape[1];
          const int64_t row = box.offset[0] + i / (box.shape[2] * box.shape[1]);
          ++held[static_cast<size_t>((row * 2 + middle) * 4 + column)];
        }
      }
      ASSERT_EQ(held, expected) << begin << " " << end;
    }
  }
}

TEST(ParameterBox, OfAScalarIsOneElement) {
  ir::ParameterPiece piece;
  piece.offset = 4;
  EXPECT_THAT(BoxesOf(piece, kTwoTensorRanks, {0, 0}, {0, 5}), ElementsAre(ParameterBox{}));
  EXPECT_THAT(BoxesOf(piece, kTwoTensorRanks, {0, 0}, {0, 4}), IsEmpty());
}

// The middle 2 x 2 of rank 0's 3 x 3, from its segment into a file that has columns first, and back.
TEST(ParameterBox, CopiesAcrossOrientations) {
  const ParameterBox box{{1, 1}, {2, 2}};
  std::vector<float> segment(19);
  std::iota(segment.begin(), segment.end(), 0.0F);
  const auto in_segment = ElementPlaces::InSegment(RowSplit(), kTwoTensorRanks, {0, 0}, 0);
  const auto in_file = ElementPlaces::InFile(box, true);
  std::vector<float> file(4);
  CopyBox(box, in_segment, segment, in_file, file);
  // Element (r, c) is 10 + 3 r + c; the file is [columns, rows].
  EXPECT_THAT(file, ElementsAre(14, 17, 15, 18));
  std::vector<float> own(9, -1.0F);  // a rank's own range of the segment: from element 10 on
  CopyBox(box, in_file, file, ElementPlaces::InSegment(RowSplit(), kTwoTensorRanks, {0, 0}, 10), own);
  EXPECT_THAT(own, ElementsAre(-1, -1, -1, -1, 14, 15, -1, 17, 18));
  EXPECT_EQ(Turned({{1, 2}, {3, 4}}, true), (ParameterBox{{2, 1}, {4, 3}}));
}

}  // namespace
}  // namespace helm::exec
