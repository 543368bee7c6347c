// State dump: the folder that `--dump-state` leaves (docs/formats/state_dump.md): initial parameters, tokens and labels, gradients of the
// first step, parameters after the last step, unsplit and under Hugging Face names, and the losses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "exec/data_loader.h"
#include "exec/parameter_state.h"
#include "ir/plan.h"

namespace helm::exec {

struct StateDump {
  UnsplitState initial;
  UnsplitState gradients;
  UnsplitState updated;
  int64_t first_step = 0;      // that was run
  std::vector<double> losses;  // by step, from it on
};

// Makes the folder when it is missing; replaces files of an earlier dump, each atomically.
Status WriteStateDump(const std::string& folder, const StateDump& dump, const DataLoader& loader, const ir::Plan& plan);

}  // namespace helm::exec
