// TrainingLoad: keeps a GPU as busy as a training step does, so that what is measured next is measured at the clock that a step has.
// Internal to runtime/ (shows torch types).
//
// A GPU at its power limit lowers its clock within milliseconds: under products alone an H200 fell from 1980 to 1400 MHz, and rose again in
// operators that move memory. So an op measured alone has its own clock, but in a step all ops share the one that the mixture settles at:
// measured alone, products took up to 17 % longer than in the step, and attention up to 17 % less. The load is bf16 products and memory
// traffic in turns, products for two thirds of the time: in the training steps of configs/runs/h200 products and attention took 57 to 84 %.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/units.h"

namespace helm::runtime {

class TrainingLoad {
 public:
  // Allocates its tensors (about 1.1 GiB). REQUIRES: called in inference mode.
  explicit TrainingLoad(c10::Device device);

  // Enqueues work for about this long on the current stream and returns.
  void Enqueue(Duration duration);

 private:
  void EnqueueRound();

  at::Tensor left_, right_, product_;
  at::Tensor memory_;
  Duration round_;  // measured when it was made
};

}  // namespace helm::runtime
