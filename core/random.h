// Random numbers that depend only on (seed, name of the stream, index): value i can be computed alone, in any order, on any rank, and does
// not change with the split. Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based
// generator. Not for security.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace helm {

// The generator itself: ten rounds on a 128-bit counter under a 64-bit key.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A stream: key = hash of seed and name, counter = index. A value type; all functions are pure.
class RandomStream {
 public:
  RandomStream(uint64_t seed, std::string_view name);

  uint32_t Uint32(uint64_t index) const;
  uint64_t Uint64(uint64_t index) const;
  // In [0, bound), without bias worth speaking of: the high 64 bits of (64 random bits) x bound. REQUIRES: bound > 0.
  uint64_t Uniform(uint64_t index, uint64_t bound) const;
  double UniformDouble(uint64_t index) const;  // in [0, 1), 53 bits
  // Standard normal by Box-Muller, computed in double: indices 2k and 2k+1 share one pair of uniforms.
  double Normal(uint64_t index) const;
  // output[i] = float(mean + deviation x Normal(first + i)), computing each pair once.
  void FillNormal(uint64_t first, int64_t count, double mean, double deviation, float* output) const;

 private:
  std::array<uint32_t, 4> Block(uint64_t counter, uint32_t purpose) const;
  std::array<double, 2> NormalPair(uint64_t pair) const;

  std::array<uint32_t, 2> key_;
};

}  // namespace helm
