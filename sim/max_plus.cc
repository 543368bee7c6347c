#include "sim/max_plus.h"

#include <algorithm>
#include <array>

#include "core/check.h"

namespace helm::sim {

MaxPlusMatrix MaxPlusMatrix::Identity(size_t size) {
  MaxPlusMatrix identity(size);
  for (size_t i = 0; i < size; ++i) identity.At(i, i) = 0;
  return identity;
}

void MaxPlusMatrix::Apply(std::span<int64_t> times) const {
  HELM_CHECK(times.size() == size_ && size_ <= kSizeMax, "a time for each row");
  std::array<int64_t, kSizeMax> after{};
  for (size_t out = 0; out < size_; ++out) {
    int64_t latest = kNever;
    for (size_t in = 0; in < size_; ++in) latest = std::max(latest, At(out, in) + times[in]);
    after[out] = latest;
  }
  std::copy_n(after.begin(), size_, times.begin());
}

MaxPlusMatrix MaxPlusMatrix::After(const MaxPlusMatrix& first) const {
  HELM_CHECK(first.size_ == size_, "pieces with the same resources");
  MaxPlusMatrix product(size_);
  for (size_t out = 0; out < size_; ++out) {
    for (size_t in = 0; in < size_; ++in) {
      int64_t latest = kNever;
      for (size_t k = 0; k < size_; ++k) latest = std::max(latest, At(out, k) + first.At(k, in));
      product.At(out, in) = latest < kNever / 2 ? kNever : latest;
    }
  }
  return product;
}

}  // namespace helm::sim
