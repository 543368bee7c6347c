#include "cost/training_attention.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace helm::cost {
namespace {

constexpr int64_t kTokens = 16384;
constexpr int64_t kHeads = 16;        // of a sequence
constexpr int64_t kShortest = 512;    // each length twice the one before
using Rates = std::array<double, 6>;  // TFLOP/s

constexpr Rates kCudnnCausal = {315, 410, 484, 518, 529, 539};
constexpr Rates kCudnnFull = {497, 574, 617, 609, 600, 595};
constexpr Rates kFlash2Causal = {191, 260, 298, 319, 333, 335};
constexpr Rates kFlash2Full = {309, 350, 362, 368, 370, 370};

const Rates& RatesOf(bool cudnn, bool causal) {
  if (cudnn) return causal ? kCudnnCausal : kCudnnFull;
  return causal ? kFlash2Causal : kFlash2Full;
}

}  // namespace

std::optional<TrainingAttention> PublishedTrainingAttention(std::string_view architecture, bool cudnn, bool causal, int64_t length) {
  if (architecture != "hopper") return std::nullopt;
  const Rates& rates = RatesOf(cudnn, causal);
  const int64_t known = std::clamp(length, kShortest, kTokens);
  const double place = std::log2(static_cast<double>(known) / static_cast<double>(kShortest));
  const size_t below = std::min(static_cast<size_t>(place), rates.size() - 2);
  const double rate = std::lerp(rates[below], rates[below + 1], place - static_cast<double>(below));
  return TrainingAttention{rate * 1e12, known, kHeads * kTokens / known};
}

}  // namespace helm::cost
