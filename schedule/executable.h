// Executable: whether helm-exec can run a plan that HELM can simulate, and hold it against the unsplit model. Not whether the machine at
// hand can: that is exec's.
#pragma once

#include <string>

#include "core/status.h"
#include "ir/plan.h"
#include "model/model_spec.h"

namespace helm::schedule {

// `model`: the plan's, read; `plan_path`: its file, for messages. kInvalid with the reason and what to change.
Status CheckExecutable(const ir::Plan& plan, const model::ModelSpec& model, const std::string& plan_path);
// The same for --verify, of a plan that is executable.
Status CheckVerifiable(const ir::Plan& plan, const model::ModelSpec& model, const std::string& plan_path);

}  // namespace helm::schedule
