#include "cost/interpolation.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace helm::cost {
namespace {

// ---- Scattered points.

struct ScatteredCase {
  std::string name;
  std::vector<ScatteredPoint> points;
  std::vector<double> query;
  std::optional<double> expected;
};

const double kFactorOf2 = std::log(2.0);

class Scattered : public testing::TestWithParam<ScatteredCase> {};

TEST_P(Scattered, HasTheValueOfTheName) {
  const auto value = InterpolateScattered(GetParam().points, GetParam().query);
  ASSERT_EQ(value.has_value(), GetParam().expected.has_value());
  if (!value) return;
  EXPECT_NEAR(*value, *GetParam().expected, 1e-5);
}

// z = 1 + 2 x + 3 y at the corners of the unit square and at (0.5, 2).
const std::vector<ScatteredPoint> kPlane = {{{0, 0}, 1}, {{1, 0}, 3}, {{0, 1}, 4}, {{1, 1}, 6}, {{0.5, 2}, 8}};

INSTANTIATE_TEST_SUITE_P(Cases, Scattered,
                         testing::Values(ScatteredCase{"NoPoints", {}, {1}, std::nullopt},
                                         ScatteredCase{"OnePointNearby", {{{5}, 7}}, {5.5}, 7},
                                         ScatteredCase{"Middle", {{{0}, 1}, {{2}, 3}}, {1}, 2},
                                         // The weights of the distances do not matter on a line: 1 + (3 - 1) * 0.3 / 2.
                                         ScatteredCase{"OffMiddle", {{{0}, 1}, {{2}, 3}}, {0.3}, 1.3},
                                         // No neighbour differs in the second coordinate: the query's own does not change the value.
                                         ScatteredCase{"BesideTheLine", {{{0, 0}, 1}, {{2, 0}, 3}}, {1, 0.4}, 2},
                                         ScatteredCase{"Plane", kPlane, {0.5, 0.5}, 3.5},
                                         ScatteredCase{"PlaneOffCentre", kPlane, {0.25, 0.75}, 3.75},
                                         ScatteredCase{"OnAPoint", {{{0}, 1}, {{1}, 5}, {{2}, 3}}, {1}, 5},
                                         // A trend is not continued: beyond the last point its value holds, as far as a factor of two.
                                         ScatteredCase{"HeldBeyondTheEnd", {{{0}, 1}, {{2}, 3}}, {2 + kFactorOf2}, 3},
                                         ScatteredCase{"TooFarAbove", {{{0}, 1}, {{2}, 3}}, {2.01 + kFactorOf2}, std::nullopt},
                                         ScatteredCase{"TooFarBelow", {{{0}, 1}, {{2}, 3}}, {-0.01 - kFactorOf2}, std::nullopt},
                                         ScatteredCase{"TooFarInOneCoordinate", kPlane, {0.5, 2.8}, std::nullopt}),
                         [](const auto& info) { return info.param.name; });

RC_GTEST_PROP(ScatteredProperty, StaysWithinTheValuesOfThePoints, ()) {
  const auto number = [] { return static_cast<double>(*rc::gen::inRange(-1000, 1000)) / 100; };
  std::vector<ScatteredPoint> points;
  const auto count = *rc::gen::inRange(1, 20);
  for (int i = 0; i < count; ++i) points.push_back({{number(), number(), number()}, number()});
  const std::vector<double> query = {number(), number(), number()};
  const auto value = InterpolateScattered(points, query);
  if (!value) return;
  const auto [low, high] = std::ranges::minmax_element(points, {}, &ScatteredPoint::log_value);
  RC_ASSERT(*value >= low->log_value && *value <= high->log_value);
}

// ---- Time against bytes.

struct TransferCase {
  std::string name;
  std::vector<TransferPoint> points;
  double bytes;
  std::optional<TransferTime> expected;
};

class Transfer : public testing::TestWithParam<TransferCase> {};

TEST_P(Transfer, HasTheTimeOfTheName) {
  const auto time = InterpolateTransfer(GetParam().points, GetParam().bytes);
  ASSERT_EQ(time.has_value(), GetParam().expected.has_value());
  if (!time) return;
  EXPECT_NEAR(time->seconds, GetParam().expected->seconds, 1e-12);
  EXPECT_EQ(time->within_range, GetParam().expected->within_range);
}

const std::vector<TransferPoint> kCurve = {{100, 1}, {10000, 10}};

INSTANTIATE_TEST_SUITE_P(
    Cases, Transfer,
    testing::Values(
        TransferCase{"Measured", kCurve, 100, TransferTime{1, true}},
        // Half way in the logarithm of the bytes is half way in the logarithm of the time: sqrt(1 * 10).
        TransferCase{"Between", kCurve, 1000, TransferTime{std::sqrt(10.0), true}},
        // Bandwidth of the last two points: (10 - 1) s for 9900 bytes, 10000 bytes more.
        TransferCase{"Above", kCurve, 20000, TransferTime{10 + 10000 * 9.0 / 9900, false}},
        TransferCase{"Below", kCurve, 10, TransferTime{1 - 90 * 9.0 / 9900, false}},
        // The line through (100, 1) and (200, 3) is negative at 10; a tenth of the bytes never takes less than a tenth of the time.
        TransferCase{"BelowASteepLine", {{100, 1}, {200, 3}}, 10, TransferTime{0.1, false}},
        // Two points without visible bandwidth: that of the last one.
        TransferCase{"AboveAFlatLine", {{100, 2}, {200, 2}}, 400, TransferTime{2 + 200 * 2.0 / 200, false}},
        TransferCase{"OnePointMeasured", {{100, 1}}, 100, TransferTime{1, true}},
        TransferCase{"OnePointElsewhere", {{100, 1}}, 101, std::nullopt}, TransferCase{"NoPoints", {}, 100, std::nullopt}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace helm::cost
