#include "sim/max_plus.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace helm::sim {
namespace {

MaxPlusMatrix RandomMatrix(size_t size) {
  MaxPlusMatrix matrix(size);
  for (size_t out = 0; out < size; ++out) {
    for (size_t in = 0; in < size; ++in) {
      if (*rc::gen::inRange(0, 3) > 0) matrix.At(out, in) = *rc::gen::inRange<int64_t>(0, 1'000'000);
    }
  }
  return matrix;
}

// out0 = max(in0 + 5, in1 + 1), out1 = in1 + 2. From (10, 20): max(15, 21) = 21 and 22.
TEST(MaxPlus, TakesTheLatest) {
  MaxPlusMatrix matrix(2);
  matrix.At(0, 0) = 5;
  matrix.At(0, 1) = 1;
  matrix.At(1, 1) = 2;
  std::vector<int64_t> times = {10, 20};
  matrix.Apply(times);
  EXPECT_EQ(times, (std::vector<int64_t>{21, 22}));
}

RC_GTEST_PROP(MaxPlus, AProductIsOneAfterTheOther, ()) {
  const auto size = *rc::gen::inRange<size_t>(1, 6);
  const MaxPlusMatrix first = RandomMatrix(size);
  const MaxPlusMatrix second = RandomMatrix(size);
  std::vector<int64_t> one_by_one;
  for (size_t i = 0; i < size; ++i) one_by_one.push_back(*rc::gen::inRange<int64_t>(0, 1'000'000));
  std::vector<int64_t> at_once = one_by_one;
  first.Apply(one_by_one);
  second.Apply(one_by_one);
  second.After(first).Apply(at_once);
  // A row without an entry stays at "never", which is any number far below every time.
  for (size_t i = 0; i < size; ++i) RC_ASSERT(at_once[i] == one_by_one[i] || (at_once[i] < kNever / 2 && one_by_one[i] < kNever / 2));
}

RC_GTEST_PROP(MaxPlus, IdentityChangesNothing, ()) {
  const MaxPlusMatrix matrix = RandomMatrix(*rc::gen::inRange<size_t>(1, 6));
  RC_ASSERT(matrix.After(MaxPlusMatrix::Identity(matrix.size())) == matrix);
  RC_ASSERT(MaxPlusMatrix::Identity(matrix.size()).After(matrix) == matrix);
}

}  // namespace
}  // namespace helm::sim
