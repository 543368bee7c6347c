// StepExcerpt: programs that hold every kind of piece of a step, from which its time and memory follow without writing it out
// (sim/compose.h).
//
// Of many equal micro-batches they hold the first ones, an inner one and the last, of many equal layers of a chunk one, of rank classes
// that are alike one. Everything else of the step is as it is in the whole: strategy, mesh, gradient buckets, the order of a class's
// actions. Made by schedule/materialise_excerpt.h. Not a step: its programs send messages that nobody receives.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ir/schedule.h"
#include "ir/step_programs.h"

namespace helm::sim {

// The layers of an action in the order in which it runs them, those that the excerpt leaves out too.
struct LayerTurn {
  int32_t layer = 0;    // as in Op::layer of the excerpt
  int32_t told_by = 0;  // the layer whose ops stand for it; `layer` itself where it is written out
};

struct StepExcerpt {
  ir::StepPrograms programs;    // by class; without ops where another one stands for it
  std::vector<size_t> told_by;  // by class: the class whose program stands for it; itself where it has one
  // By class with a program, by action of that program: its layers.
  std::vector<std::vector<std::vector<LayerTurn>>> layers;
  // By class: storages that stand for what layers that are left out would have made. Persistent in its program, since nothing there makes
  // them; in truth made by those layers and freed after their last use.
  std::vector<std::vector<ir::StorageId>> left_out_storages;
  // In the programs' schedules; where there are more in the step, the first ones, inner ones, which stand for the others, and the last.
  int64_t micro_batches_written = 0;
  // Inner ones among them: as many as a class has ways to run one (input and weight gradients apart or not, in each of its chunks).
  int64_t micro_batches_inner = 1;

  std::vector<ir::Schedule> schedules;  // by class: of the whole step; F, B, I and W alone
  int64_t micro_batches = 0;            // of the whole step

  // Whether a micro-batch of the excerpt is one of those that stand for others.
  bool IsInner(int32_t written) const {
    const int64_t last = micro_batches_written - 1;
    return micro_batches > micro_batches_written && written >= last - micro_batches_inner && written < last;
  }
  // The micro-batch of the excerpt that stands for one of the step; where that is an inner one, another one may that has the same action.
  int32_t StandIn(int32_t micro_batch) const {
    const int64_t behind = micro_batch + 1 == micro_batches ? 1 : 2;
    return static_cast<int32_t>(std::min<int64_t>(micro_batch, micro_batches_written - behind));
  }
};

}  // namespace helm::sim
