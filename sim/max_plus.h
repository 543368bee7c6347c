// MaxPlusMatrix: how the times at which the resources of a rank become free follow from those before a piece of program.
//
// When every order and duration is fixed, out[i] = max over j of (in[j] + m[i][j]): a piece is linear in the algebra of maximum and sum
// (Baccelli, Cohen, Olsder, Quadrat, Synchronization and Linearity, 1992), exactly, whatever the times before it are. So pieces compose by
// products. Times are whole picoseconds; kNever stands for "does not depend on it".
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace helm::sim {

// Far enough from both ends of the range that two of them, and a year in picoseconds, can be added.
inline constexpr int64_t kNever = std::numeric_limits<int64_t>::min() / 4;

class MaxPlusMatrix {
 public:
  explicit MaxPlusMatrix(size_t size) : size_(size), entries_(size * size, kNever) {}
  static MaxPlusMatrix Identity(size_t size);

  size_t size() const { return size_; }
  int64_t& At(size_t out, size_t in) { return entries_[out * size_ + in]; }
  int64_t At(size_t out, size_t in) const { return entries_[out * size_ + in]; }

  // Replaces times by those after the piece. REQUIRES: times.size() == size(), at most kSizeMax.
  void Apply(std::span<int64_t> times) const;
  // First `first`, then this one.
  MaxPlusMatrix After(const MaxPlusMatrix& first) const;

  bool operator==(const MaxPlusMatrix&) const = default;

  static constexpr size_t kSizeMax = 24;

 private:
  size_t size_;
  std::vector<int64_t> entries_;  // by out, then in
};

}  // namespace helm::sim
