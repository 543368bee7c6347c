// Megatron-LM's command line (pretrain_gpt.py; arguments.py of 2025/26): the options that follow from a plan, and back.
//
// Refused by name is what its argument checks forbid or what it has no option for: other pipeline schedules than 1F1B and its interleaved
// form, sharded parameters with pipelines or experts, recomputation of chosen parts.
#pragma once

#include <string_view>

#include "core/status.h"
#include "exporter/subject.h"

namespace helm::exporter {

Status CheckMegatron(const Subject& subject);  // what is refused
Result<Exported> ToMegatron(const Subject& subject);
// Sets model, workload, strategy, and of the software how sequences are exchanged.
Status FromMegatron(const Exported& exported, Subject& subject);

}  // namespace helm::exporter
