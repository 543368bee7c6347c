// TrainingLoad: keeps a GPU as busy as a training step does, so that what is measured next is measured at the clock that a step has.
// Internal to runtime/ (shows torch types).
//
// A GPU at its power limit lowers its clock within milliseconds: under products alone an H200 fell from 1980 to 1400 MHz, and rose again in
// operators that move memory. So an op measured alone has its own clock, but in a step all ops share the one that the mixture settles at;
// and in the optimizer, which moves memory only, the clock is at its highest. Behind a load of two thirds products, products of eight
// programs were measured 3 to 15 % slower than in their steps, the more the smaller their share of the step was, and AdamW 15 to 25 %
// slower (traces/h200-sxm-141gb/README.md): the load must be that of the step. It is bf16 products, causal flash attention and memory
// traffic in turns, each for its share of the time.
#pragma once

#include <array>

#include <ATen/core/Tensor.h>

#include "core/units.h"
#include "ir/device_load.h"

namespace helm::runtime {

class TrainingLoad {
 public:
  // Allocates its tensors (about 0.5 GiB). REQUIRES: called in inference mode.
  explicit TrainingLoad(c10::Device device);

  // Enqueues work for about this long on the current stream and returns.
  void Enqueue(Duration duration, const ir::DeviceLoad& load);

 private:
  enum Part : size_t { kProducts, kAttention, kMemory };
  static constexpr size_t kParts = 3;

  void EnqueuePart(size_t part);
  Duration TimeOf(size_t part);

  at::Tensor left_, right_, product_;
  at::Tensor query_;
  at::Tensor memory_;
  std::array<Duration, kParts> times_;  // of one launch of each part, measured when this was made
};

}  // namespace helm::runtime
