// Resume: a training goes on from a checkpoint: whether it is one of this training, and its state put into a rank's interpreter.
//
// With the strategy that wrote it training goes on bit for bit; with another one sums are taken in another order, as between any two splits
// (exec/verify.h has the bounds). Learning rate, decay and the other numbers of the optimizer are the plan's, not the checkpoint's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/status.h"
#include "exec/checkpoint_reader.h"
#include "exec/data_loader.h"
#include "ir/plan.h"
#include "ir/program.h"
#include "runtime/interpreter.h"

namespace helm::exec {

// kInvalid, with what differs: the model, the dtype, or what the steps are fed. `plan_path` is used in messages.
Status CheckSameTraining(const CheckpointReader& checkpoint, const ir::Plan& plan, const DataLoader& loader, const std::string& plan_path);

// Storages of the optimizer that belong to no parameter and that ranks need not agree on (fp8: the largest magnitudes of the step before);
// the count of steps is not one of them.
std::vector<ir::StorageId> RankStorages(const ir::Program& program);

// Fills parameters, master copies, moments, the count of steps and the rank's own storages. `beat` is called now and then; may be empty.
// REQUIRES: the interpreter is new, so that the rest is zero.
Status LoadCheckpoint(CheckpointReader& checkpoint, const ir::Program& program, int64_t rank, const std::string& strategy,
                      const std::function<void()>& beat, runtime::Interpreter& interpreter);

}  // namespace helm::exec
