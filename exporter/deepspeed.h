// DeepSpeed's configuration (JSON, 0.19): what follows from a plan, and back. The model is the user's own code, so it is not in the file.
//
// Refused by name: pipelines (a PipelineModule in that code, not a key), sequence parallelism beside tensor parallelism, recomputation
// (calls in that code), experts over ranks.
#pragma once

#include "core/status.h"
#include "exporter/subject.h"

namespace helm::exporter {

Status CheckDeepSpeed(const Subject& subject);  // what is refused
Result<Exported> ToDeepSpeed(const Subject& subject);
// Sets workload (without sequence length and seed) and strategy.
Status FromDeepSpeed(const Exported& exported, Subject& subject);

}  // namespace helm::exporter
