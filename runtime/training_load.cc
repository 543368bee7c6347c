#include "runtime/training_load.h"

#include <algorithm>
#include <chrono>

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

namespace helm::runtime {
namespace {

constexpr int64_t kRows = 4096;               // of the square matrices: 137 GFLOP a product
constexpr int64_t kProducts = 6;              // a round
constexpr int64_t kBytes = int64_t{1} << 30;  // read and written once a round
constexpr int kRoundsToMeasure = 200;         // some 0.4 s on an H200: also brings the clock down before anything is measured

}  // namespace

TrainingLoad::TrainingLoad(c10::Device device) {
  const auto options = at::TensorOptions().dtype(c10::ScalarType::BFloat16).device(device);
  left_ = at::empty({kRows, kRows}, options).normal_();
  right_ = at::empty({kRows, kRows}, options).normal_(0.0, 0.02);  // as weights are
  product_ = at::empty({kRows, kRows}, options);
  memory_ = at::empty({kBytes / 2}, options).normal_();
  const auto synchronise = [this] { (void)memory_[0].item(); };
  EnqueueRound();
  synchronise();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kRoundsToMeasure; ++i) EnqueueRound();
  synchronise();
  const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
  round_ = Duration::Nanoseconds(std::max<int64_t>(1, elapsed / kRoundsToMeasure));
}

void TrainingLoad::EnqueueRound() {
  for (int64_t i = 0; i < kProducts; ++i) at::mm_out(product_, left_, right_);
  memory_.neg_();  // keeps its values apart, however often
}

void TrainingLoad::Enqueue(Duration duration) {
  const int64_t rounds = (duration.picoseconds() + round_.picoseconds() - 1) / round_.picoseconds();
  for (int64_t i = 0; i < rounds; ++i) EnqueueRound();
}

}  // namespace helm::runtime
