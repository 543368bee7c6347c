// heiretsu's command line (train.py): what follows from a plan, and back.
//
// Its GPT has GELU, layer norms, learned positions, biases and GPT-2's vocabulary; it runs gpipe, on one machine. Refused by name: anything
// else, ZeRO, recomputation, sequence parallelism, experts (its blocks with experts have biases, which HELM cannot state).
#pragma once

#include "core/status.h"
#include "exporter/subject.h"

namespace helm::exporter {

Status CheckHeiretsu(const Subject& subject);  // what is refused
Result<Exported> ToHeiretsu(const Subject& subject);
// Sets model, workload and strategy.
Status FromHeiretsu(const Exported& exported, Subject& subject);

}  // namespace helm::exporter
