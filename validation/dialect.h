// The dialect of `helm-validation/1`: from a row to a HELM run configuration. The one place that knows it.
//
// Nothing is dropped in silence: a key that has no meaning here is left in the document, where the strict reader of run configurations
// refuses it; words that are not understood stand in `notes`, and the framework's default holds.
#pragma once

#include <string>
#include <vector>

#include "config/run_config.h"
#include "core/status.h"
#include "validation/row.h"

namespace helm::validation {

struct Translation {
  YamlValue document;              // a run configuration
  std::vector<std::string> notes;  // what the row does not say and had to be filled in, what was not understood
};

// Fails where a value cannot be stated: "recompute 'custom: keep the odd layers': not understood".
Result<Translation> Translate(const Row& row);

// Translate, then read. The message of a failure is one line.
struct Run {
  config::RunConfig config;
  std::vector<std::string> notes;
};
Result<Run> ReadRun(const Row& row, const config::ConfigContext& context);

}  // namespace helm::validation
