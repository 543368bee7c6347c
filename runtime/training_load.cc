#include "runtime/training_load.h"

#include <algorithm>
#include <chrono>

#include <ATen/ops/_scaled_dot_product_flash_attention.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

namespace helm::runtime {
namespace {

constexpr int64_t kRows = 4096;                    // of the square matrices: 137 GFLOP a product
constexpr int64_t kHeads = 32, kPositions = 4096;  // 137 GFLOP an attention, half of which is computed
constexpr int64_t kHeadSize = 128;
constexpr int64_t kBytes = int64_t{1} << 28;  // read and written by one launch; several times any cache
constexpr int kLaunchesToMeasure = 400;       // some 0.1 s each on an H200

}  // namespace

TrainingLoad::TrainingLoad(c10::Device device) {
  const auto options = at::TensorOptions().dtype(c10::ScalarType::BFloat16).device(device);
  left_ = at::empty({kRows, kRows}, options).normal_();
  right_ = at::empty({kRows, kRows}, options).normal_(0.0, 0.02);  // as weights are
  product_ = at::empty({kRows, kRows}, options);
  query_ = at::empty({1, kHeads, kPositions, kHeadSize}, options).normal_();
  memory_ = at::empty({kBytes / 2}, options).normal_();
  for (size_t part = 0; part < kParts; ++part) times_[part] = TimeOf(part);
}

Duration TrainingLoad::TimeOf(size_t part) {
  const auto synchronise = [this] { (void)memory_[0].item(); };
  EnqueuePart(part);
  synchronise();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kLaunchesToMeasure; ++i) EnqueuePart(part);
  synchronise();
  const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
  return Duration::Nanoseconds(std::max<int64_t>(1, elapsed / kLaunchesToMeasure));
}

void TrainingLoad::EnqueuePart(size_t part) {
  switch (part) {
    case kProducts:
      at::mm_out(product_, left_, right_);
      break;
    case kAttention:
      at::_scaled_dot_product_flash_attention(query_, query_, query_, 0.0, /*is_causal=*/true);
      break;
    default:
      memory_.neg_();  // keeps its values apart, however often
  }
}

// The part that is furthest behind its share comes next, so that all of them are spread over the time.
void TrainingLoad::Enqueue(Duration duration, const ir::DeviceLoad& load) {
  const std::array<double, kParts> shares = {load.products, load.attention, std::max(0.0, 1 - load.products - load.attention)};
  std::array<double, kParts> done = {};
  for (double total = 0; total < duration.seconds();) {
    const auto behind = [&](size_t part) { return shares[part] * (total + times_[part].seconds()) - done[part]; };
    const size_t next =
        std::max({size_t{kProducts}, size_t{kAttention}, size_t{kMemory}}, [&](size_t a, size_t b) { return behind(a) < behind(b); });
    EnqueuePart(next);
    done[next] += times_[next].seconds();
    total += times_[next].seconds();
  }
}

}  // namespace helm::runtime
