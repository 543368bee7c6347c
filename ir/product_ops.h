// ProductOps: the matrix products of ATen, and where their operands stand. Not _grouped_mm, whose rows are of several products.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace helm::ir {

struct ProductOp {
  std::string_view name;
  size_t left_at;  // which argument is the left matrix: after the addend, where there is one
};
inline constexpr std::array<ProductOp, 6> kProductOps = {
    {{"mm", 0}, {"bmm", 0}, {"matmul", 0}, {"addmm", 1}, {"baddbmm", 1}, {"_scaled_mm", 0}}};

}  // namespace helm::ir
