// A model as the options of Megatron-LM's pretrain_gpt.py, and back.
#pragma once

#include "exporter/option_list.h"
#include "exporter/subject.h"

namespace helm::exporter {

void RefuseForMegatron(const model::ModelSpec& model, const ir::Strategy& strategy, Refusals& refusals);
void AddMegatronModel(const model::ModelSpec& model, const ir::Workload& workload, const ir::Strategy& strategy, OptionList& options);
// Sets all of `model` that changes its programs: not its name, family and notes, whose like no option holds.
void TakeMegatronModel(OptionList& options, const ir::Strategy& strategy, model::ModelSpec& model);

}  // namespace helm::exporter
