// LayerExcerpt: which layers of a stage its program must hold so that it tells of them all.
//
// All layers of a model, or all dense ones and all with experts, computed again in backward or not, are lowered alike, so one inner layer
// of a chunk stands for the others: the first and the last stand for themselves (what lies outside the layers begins and ends there), and
// so do, in the last micro-batch, layers whose backward completes a gradient bucket and starts its reduction. Where gradients or parameters
// are sharded layers depend on their neighbours: one gathers the parameters of the next ones and waits for the reduction of the one before.
// Then as many at either end as are gathered ahead stand for themselves, and those that complete buckets do so in every micro-batch. A
// program written from an excerpt is valid, but computes another model; it is for the simulator alone (sim/compose.h), never run.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ir/software.h"
#include "ir/strategy.h"
#include "model/model_spec.h"

namespace helm::model {

// How the names of storages begin that stand for what layers that are left out would have made: gradients that are reduced with others,
// and the sums of their shards. They are persistent in the program.
inline constexpr std::string_view kLeftOutStorages = "left_out.";

struct LayerExcerpt {
  // By layer of the model: the layer that stands for it, itself where it is written out. Empty: all are.
  std::vector<int32_t> told_by;
  std::vector<int32_t> told_by_in_last;  // in the last micro-batch of the schedule

  int32_t ToldBy(int64_t layer, bool in_last) const;
  bool LeavesOut(int64_t layer, bool in_last) const { return ToldBy(layer, in_last) != layer; }
};

// `whole_last`: leaves out nothing in the last micro-batch, whose layers are then not alike: a reduction that runs beside some of them
// slows them down. Leaves out nothing where gradients are sharded and layers are of two kinds, or their shards have several copies (HSDP),
// whose sum is waited for in the next micro-batch, or, with `whole_last`, parameters are whole, so that reductions run beside some layers
// of every micro-batch. REQUIRES: CheckStrategy is ok.
LayerExcerpt ExcerptOf(const ModelSpec& model, const ir::Software& software, const ir::Strategy& strategy, int64_t stage,
                       bool whole_last = false);

}  // namespace helm::model
