// Numbers of foreign files, which may hold anything: checked before they become HELM's units, so that no sum of them overflows.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

#include "core/units.h"

namespace helm::formats {

// More than any file means: 10^9 us are a quarter of an hour, 2^50 bytes a thousand times the memory of a GPU, 2^22 ranks as in cluster
// files.
inline constexpr double kMicrosecondsMost = 1e9;
inline constexpr int64_t kNanosecondsMost = 1'000'000'000'000'000;
inline constexpr int64_t kBytesMost = int64_t{1} << 50;
inline constexpr int64_t kRanksMost = int64_t{1} << 22;

// None: negative, not a number, or out of range.
inline std::optional<Duration> TimeOfMicroseconds(double value) {
  if (!(value >= 0 && value <= kMicrosecondsMost)) return std::nullopt;
  return Duration::Microseconds(value);
}

}  // namespace helm::formats
