#include "exec/comparison.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace helm::exec {
namespace {

constexpr VerifyBounds kBounds{.loss = 1e-5, .gradient = 1e-5, .parameter = 1e-5};

// Two parameters that every one of two ranks holds whole: "large" [2] and "small" [2].
ir::Program TwoParameters() {
  ir::Program program;
  program.mesh = {{"tensor", 1}, {"data", 2}};
  ir::ParameterSegment segment;
  segment.name = "bucket0";
  segment.elements = 4;
  for (const auto& [name, offset] : {std::pair("large", 0), std::pair("small", 2)}) {
    ir::ParameterPiece piece;
    piece.name = name;
    piece.global_shape = piece.box_shape = {2};
    piece.box_offset = {{}};
    piece.offset = offset;
    segment.pieces.push_back(piece);
  }
  program.segments.push_back(segment);
  return program;
}

UnsplitState Reference() { return {{"large", {{2}, false, {10, -20}}}, {"small", {{2}, false, {0.001F, 0}}}}; }

VerifyResult Compare(const std::vector<float>& rank0, const std::vector<float>& rank1) {
  Comparison comparison(kBounds, 1);
  const ir::Program program = TwoParameters();
  comparison.AddState(VerifyKind::kGradient, program, 0, RankState{{rank0}}, Reference());
  comparison.AddState(VerifyKind::kGradient, program, 1, RankState{{rank1}}, Reference());
  return comparison.Finish();
}

TEST(Comparison, EqualStatesHaveNoError) {
  const VerifyResult result = Compare({10, -20, 0.001F, 0}, {10, -20, 0.001F, 0});
  EXPECT_EQ(result.worst.error, 0);
  EXPECT_EQ(result.tensors, 2);
  EXPECT_TRUE(result.passed());
}

// |-20 - -20.5| / 20 = 0.025, on rank 1 only: every replica counts.
TEST(Comparison, DividesByTheLargestValueOfTheTensor) {
  const VerifyResult result = Compare({10, -20, 0.001F, 0}, {10, -20.5F, 0.001F, 0});
  EXPECT_EQ(result.worst.tensor, "large");
  EXPECT_EQ(result.worst.rank, 1);
  EXPECT_DOUBLE_EQ(result.worst.error, 0.025);
  EXPECT_FALSE(result.passed());
}

// The largest of the kind is 20, so no tensor is held to a scale below 0.02: 0.0001 / 0.02 = 0.005, not 0.0001 / 0.001.
TEST(Comparison, SmallTensorsAreMeasuredAgainstTheKind) {
  const VerifyResult result = Compare({10, -20, 0.001F, 0.0001F}, {10, -20, 0.001F, 0});
  EXPECT_EQ(result.worst.tensor, "small");
  EXPECT_NEAR(result.worst.error, 0.005, 1e-9);
}

TEST(Comparison, NotANumberExceedsEveryBound) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isinf(Compare({10, nan, 0.001F, 0}, {10, -20, 0.001F, 0}).worst.error));
  EXPECT_FALSE(Compare({10, nan, 0.001F, 0}, {10, -20, 0.001F, 0}).passed());
}

VerifyError UpdateError(const std::vector<float>& rank0) {
  Comparison comparison({.parameter = 3e-2, .parameter_by_update = true}, 1);
  comparison.AddUpdates(TwoParameters(), 0, RankState{{rank0}}, Reference(), /*largest_update=*/0.01);
  return comparison.Finish().worst;
}

// "small" is off by 0.0003 and 0.0004: sqrt((9 + 16) e-8 / 2) = 3.54e-4, in units of 0.01: 3.54e-2. "large" is off by 0.0002 in one
// element: 1.41e-2. The size of the parameters does not matter.
TEST(Comparison, UpdatesAreMeasuredInLearningRates) {
  const VerifyError worst = UpdateError({10.0002F, -20, 0.0013F, 0.0004F});
  EXPECT_EQ(worst.kind, VerifyKind::kParameter);
  EXPECT_EQ(worst.tensor, "small");
  EXPECT_NEAR(worst.error, std::sqrt(12.5e-8) / 0.01, 1e-7);
  EXPECT_EQ(UpdateError({10, -20, 0.001F, 0}).error, 0);
}

TEST(Comparison, AnUpdateThatIsNotANumberExceedsEveryBound) {
  EXPECT_TRUE(std::isinf(UpdateError({10, -20, std::numeric_limits<float>::quiet_NaN(), 0}).error));
}

// |5.05 - 5| / 5 = 0.01 in step 1.
TEST(Comparison, LossesAreRelative) {
  Comparison comparison(kBounds, 2);
  comparison.AddLosses(std::vector<double>{6, 5.05}, std::vector<double>{6, 5});
  const VerifyResult result = comparison.Finish();
  EXPECT_EQ(result.worst.kind, VerifyKind::kLoss);
  EXPECT_EQ(result.worst.tensor, "step 1");
  EXPECT_NEAR(result.worst.error, 0.01, 1e-12);
  EXPECT_EQ(result.steps, 2);
}

// A loss error of 2e-3 with bound 1e-3 is worse than a gradient error of 1e-2 with bound 1e-1.
TEST(Comparison, TheWorstIsTheOneFarthestBeyondItsBound) {
  Comparison comparison({.loss = 1e-3, .gradient = 1e-1, .parameter = 1e-1}, 1);
  comparison.AddLosses(std::vector<double>{5.01}, std::vector<double>{5});
  comparison.AddState(VerifyKind::kGradient, TwoParameters(), 0, RankState{{{10, -20.2F, 0.001F, 0}}}, Reference());
  const VerifyResult result = comparison.Finish();
  EXPECT_EQ(result.worst.kind, VerifyKind::kLoss);
  EXPECT_EQ(result.by_kind.size(), 2U);
  EXPECT_FALSE(result.passed());
}

}  // namespace
}  // namespace helm::exec
