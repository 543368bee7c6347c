// What the formats can say and the lowering cannot do yet, by the keys that ask for it. The one place where a feature is refused before it
// exists: whoever teaches it to the lowering deletes its line here.
#pragma once

#include <string>
#include <vector>

#include "ir/software.h"
#include "ir/strategy.h"
#include "model/model_spec.h"

namespace helm::model {

// A key of a run configuration whose value the lowering refuses.
struct Unsupported {
  std::string section;  // "model", "workload", "strategy", "software"
  std::string key;
  std::string what;     // "'moe' (mixture of experts)"
  std::string allowed;  // what works in its place: "allowed: bf16, fp32", "fix: remove 'moe'"
};

// Degrees of parallelism are CheckStrategy's (model/lower.h).
std::vector<Unsupported> UnsupportedFeatures(const ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                                             const ir::Strategy& strategy);

// Switches of the software whose value the lowering and the simulator do not honour: the program is that of HELM's own executor in this
// respect, and model, workload and strategy call for it. The prediction stands, with these words beside it: "attention_dropout 0.1:
// predicted with 0.0". In the order of ir::SoftwareKeys.
std::vector<std::string> UnmodelledSwitches(const ModelSpec& model, const ir::Workload& workload, const ir::Software& software,
                                            const ir::Strategy& strategy);

}  // namespace helm::model
