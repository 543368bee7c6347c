#include "core/random.h"

#include <cmath>
#include <numbers>

#include "core/check.h"
#include "core/hash.h"

namespace helm {
namespace {

// Multipliers and key increments of Philox4x32 (Salmon et al. 2011, section 5.4 and table 2; the increments are the golden ratio and
// sqrt(3) - 1 as 32-bit fractions).
constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kKeyStep0 = 0x9E3779B9;
constexpr uint32_t kKeyStep1 = 0xBB67AE85;
constexpr int kRounds = 10;

// Blocks of one stream that serve different kinds of numbers do not overlap: the fourth word of the counter says which.
constexpr uint32_t kIntegers = 0;
constexpr uint32_t kNormals = 1;

constexpr double k2ToMinus53 = 0x1p-53;

double ToUnit(uint32_t high, uint32_t low) {
  const uint64_t bits = (static_cast<uint64_t>(high) << 32) | low;
  return static_cast<double>(bits >> 11) * k2ToMinus53;
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(kMultiplier0) * counter[0];
    const uint64_t product1 = static_cast<uint64_t>(kMultiplier1) * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += kKeyStep0;
    key[1] += kKeyStep1;
  }
  return counter;
}

RandomStream::RandomStream(uint64_t seed, std::string_view name) {
  // The seed is hashed as eight bytes, least significant first, so that the key is the same on every machine.
  char seed_bytes[8];
  for (int i = 0; i < 8; ++i) seed_bytes[i] = static_cast<char>((seed >> (8 * i)) & 0xff);
  const uint64_t hash = Hash64(name, Hash64(std::string_view(seed_bytes, 8)));
  key_ = {static_cast<uint32_t>(hash), static_cast<uint32_t>(hash >> 32)};
}

std::array<uint32_t, 4> RandomStream::Block(uint64_t counter, uint32_t purpose) const {
  return Philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, purpose}, key_);
}

uint32_t RandomStream::Uint32(uint64_t index) const { return Block(index / 4, kIntegers)[index % 4]; }

uint64_t RandomStream::Uint64(uint64_t index) const {
  const auto block = Block(index / 2, kIntegers);
  const size_t first = 2 * (index % 2);
  return (static_cast<uint64_t>(block[first]) << 32) | block[first + 1];
}

uint64_t RandomStream::Uniform(uint64_t index, uint64_t bound) const {
  HELM_CHECK(bound > 0, "an empty range has no random number");
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>((static_cast<Wide>(Uint64(index)) * bound) >> 64);
}

double RandomStream::UniformDouble(uint64_t index) const { return static_cast<double>(Uint64(index) >> 11) * k2ToMinus53; }

// Box and Muller, "A note on the generation of random normal deviates", 1958: r = sqrt(-2 ln u), angle 2 pi v. u is taken from (0, 1].
std::array<double, 2> RandomStream::NormalPair(uint64_t pair) const {
  const auto block = Block(pair, kNormals);
  const double radius = std::sqrt(-2.0 * std::log(1.0 - ToUnit(block[0], block[1])));
  const double angle = 2.0 * std::numbers::pi * ToUnit(block[2], block[3]);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

double RandomStream::Normal(uint64_t index) const { return NormalPair(index / 2)[index % 2]; }

void RandomStream::FillNormal(uint64_t first, int64_t count, double mean, double deviation, float* output) const {
  std::array<double, 2> pair{};
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t index = first + static_cast<uint64_t>(i);
    if (i == 0 || index % 2 == 0) pair = NormalPair(index / 2);
    output[i] = static_cast<float>(mean + deviation * pair[index % 2]);
  }
}

}  // namespace helm
