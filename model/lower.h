// LowerStage: model + strategy + workload + schedule -> the program of the ranks of one pipeline stage for one training step, with
// explicit backward operators.
//
// A pure function: no cost, no search. The program is in launch order as the framework `helm` runs it by default (overlap `none`):
// gradients are reduced in buckets during the last backward passes, tensor-parallel collectives are waited for at once, a stage receives
// what an action needs right before it and sends its result right behind it (model/stage_lowering.h).
#pragma once

#include "core/cancellation.h"
#include "core/status.h"
#include "ir/program.h"
#include "ir/schedule.h"
#include "ir/strategy.h"
#include "model/layer_excerpt.h"
#include "model/model_spec.h"

namespace helm::model {

// Vocabulary rows after padding: as many as the model says; else a vocabulary that `tensor` does not divide is padded to a multiple of
// 128 x tensor, as Megatron does.
int64_t PaddedVocabulary(const ModelSpec& model, int64_t tensor);
// The model as the framework pads it: its `padded_vocab` where it says that, else by `software.vocabulary_multiple`.
ModelSpec WithPaddedVocabulary(ModelSpec model, const ir::Software& software, int64_t tensor);

// Slots that a rank with so many tokens has at each expert. A program's shapes are fixed, so each expert has as many for each rank: with a
// capacity factor the mean times that, and tokens beyond it are dropped, those of the least weight first (Megatron Core with
// moe_pad_expert_input_to_capacity); without one, the fullest expert's expected number, `imbalance` times the mean, as if all were so full.
int64_t ExpertCapacity(const MixtureOfExperts& moe, int64_t tokens, double imbalance);

// Says why this model cannot be split so (heads, key-value heads, ffn, sequence, batch divisibility), or ok.
Status CheckStrategy(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy);

// `schedule`: of this stage (schedule/pipeline_schedule.h); names its chunks, model/chunks.h. A step has as many micro-batches as it says:
// fewer than the workload's for an excerpt of a step, from which `excerpt` also leaves out layers. `cancellation` is asked before each
// action. REQUIRES: 0 <= stage < strategy.pipeline; the schedule runs each chunk of the stage for each of its micro-batches once: F, then
// B, or I and W.
Result<ir::Program> LowerStage(const ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                               const ir::Strategy& strategy, ir::DeviceKind device, const ir::Schedule& schedule, int64_t stage,
                               const LayerExcerpt& excerpt = {}, const Cancellation& cancellation = {});

// Without a pipeline: each micro-batch forward and backward in turn. REQUIRES: strategy.pipeline is 1.
Result<ir::Program> Lower(const ModelSpec& model, const ir::Workload& workload, const ir::Software& software, const ir::Strategy& strategy,
                          ir::DeviceKind device);

}  // namespace helm::model
