// Lower: model + strategy + workload -> the program of a rank for one training step, with explicit backward operators.
//
// A pure function: no cost, no search. The program is in launch order as the framework `helm` runs it by default (overlap `none`):
// gradients are reduced in buckets during the last micro-batch's backward, tensor-parallel collectives are waited for at once.
#pragma once

#include "core/status.h"
#include "ir/program.h"
#include "ir/strategy.h"
#include "model/model_spec.h"

namespace helm::model {

// Vocabulary rows after padding: a vocabulary that `tensor` does not divide is padded to a multiple of 128 x tensor, as Megatron does.
int64_t PaddedVocabulary(int64_t vocabulary, int64_t tensor);

// Says why this model cannot be split so (heads, key-value heads, ffn, sequence, batch divisibility), or ok.
Status CheckStrategy(const ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy);

Result<ir::Program> Lower(const ModelSpec& model, const ir::Workload& workload, const ir::Software& software, const ir::Strategy& strategy,
                          ir::DeviceKind device);

}  // namespace helm::model
