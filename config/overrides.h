// Overrides: `--set key.path=value` on a document that is a tree, before anything of it is checked.
#pragma once

#include <string>

#include "core/diagnostics.h"
#include "core/located_yaml.h"

namespace helm::config {

// What is set has the place "--set key.path=value".
void ApplyOverride(const std::string& override, YamlValue& document, Diagnostics& diagnostics);

}  // namespace helm::config
