// Export: a plan as the lines or the file that a user pastes into the trainer they run, and ReadBack: what those say, as a plan.
//
// Every export is read back at once: when it does not say the same work again, that is an internal error, not a file that trains something
// else. What a trainer cannot be told is refused by name, all of it at once (kInvalid). docs/export.md says what each form holds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "exporter/subject.h"
#include "ir/plan.h"

namespace helm::exporter {

// "megatron", "torchtitan", "deepspeed", "heiretsu", "schedule-csv".
std::vector<std::string> TrainerNames();

// The export for the trainer that a framework (configs/frameworks/) is.
std::optional<std::string> TrainerOfFramework(const std::string& framework);

// What Export would refuse of this work. REQUIRES: model::CheckStrategy is ok.
Status CheckExpressible(const std::string& trainer, const Subject& subject);

Result<Exported> Export(const std::string& trainer, const ir::Plan& plan);

// `base`: where what the file does not hold comes from, such as the cluster; its passes, hash and prediction are left out.
Result<ir::Plan> ReadBack(const std::string& trainer, const Exported& exported, const ir::Plan& base);

}  // namespace helm::exporter
