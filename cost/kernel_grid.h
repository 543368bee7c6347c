// What the models of single kernels share: how work is cut into blocks, and what the start of a kernel costs. Internal to cost/.
#pragma once

#include <cstdint>

namespace helm::cost {

inline constexpr double kLaunchSeconds = 2e-6;  // of a kernel that follows another at once

// Blocks of `block` that cover `whole`; both positive.
constexpr int64_t DivideUp(int64_t whole, int64_t block) { return (whole + block - 1) / block; }

}  // namespace helm::cost
