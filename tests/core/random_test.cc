#include "core/random.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <vector>

namespace helm {
namespace {

// The known-answer vectors of the Random123 library (tests/kat_vectors, "philox4x32 10"): counter, key, result.
TEST(Random, PhiloxKnownAnswers) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, StreamsDifferBySeedAndName) {
  const RandomStream a(1, "weight"), b(2, "weight"), c(1, "bias");
  EXPECT_EQ(a.Uint64(7), RandomStream(1, "weight").Uint64(7));
  EXPECT_NE(a.Uint64(7), b.Uint64(7));
  EXPECT_NE(a.Uint64(7), c.Uint64(7));
  EXPECT_NE(a.Uint64(7), a.Uint64(8));
  EXPECT_NE(a.Uint64(0), a.Uint64(uint64_t{1} << 33));  // the high half of the counter counts
}

// Whichever slice a rank computes, it finds the same numbers as whoever computes all of them.
RC_GTEST_PROP(Random, ASliceOfNormalsIsTheSameAsTheWhole, (uint64_t seed)) {
  const RandomStream stream(seed, "embedding");
  std::vector<float> whole(64);
  stream.FillNormal(0, 64, 0.5, 0.02, whole.data());
  const auto first = *rc::gen::inRange<uint64_t>(0, 60);
  const auto count = *rc::gen::inRange<int64_t>(1, static_cast<int64_t>(65 - first));
  std::vector<float> slice(static_cast<size_t>(count));
  stream.FillNormal(first, count, 0.5, 0.02, slice.data());
  for (size_t i = 0; i < slice.size(); ++i) {
    RC_ASSERT(slice[i] == whole[first + i]);
    RC_ASSERT(slice[i] == static_cast<float>(0.5 + 0.02 * stream.Normal(first + i)));
  }
}

// n = 100,000 standard normals: the mean has a deviation of 1/sqrt(n) = 0.0032, the variance of sqrt(2/n) = 0.0045, the fourth moment (3)
// of sqrt(96/n) = 0.031; five deviations are allowed. The stream is fixed, so this either always passes or never.
TEST(Random, NormalsHaveTheMomentsOfNormals) {
  const RandomStream stream(1234, "moments");
  constexpr int kCount = 100000;
  double sum = 0, squares = 0, fourths = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = stream.Normal(static_cast<uint64_t>(i));
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.016);
  EXPECT_NEAR(squares / kCount, 1.0, 0.023);
  EXPECT_NEAR(fourths / kCount, 3.0, 0.155);
}

// 60,000 throws of a six-sided die: each side 10,000 times, deviation sqrt(60000 x 1/6 x 5/6) = 91; five deviations are allowed.
TEST(Random, UniformIntegersAreEvenAndInRange) {
  const RandomStream stream(1234, "dice");
  std::array<int, 6> counts{};
  for (uint64_t i = 0; i < 60000; ++i) ++counts.at(stream.Uniform(i, 6));
  for (const int count : counts) EXPECT_NEAR(count, 10000, 456);
  for (uint64_t i = 0; i < 1000; ++i) {
    const double x = stream.UniformDouble(i);
    EXPECT_TRUE(x >= 0.0 && x < 1.0);
  }
}

}  // namespace
}  // namespace helm
