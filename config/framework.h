// Framework files: what a training framework does that changes time or memory (ir/software.h), each switch with the place where it can be
// read in the framework's code or documents. configs/frameworks/, `format: helm-framework/1`, docs/formats/framework.md.
#pragma once

#include <optional>
#include <string>

#include "core/diagnostics.h"
#include "core/located_yaml.h"
#include "core/preset.h"
#include "ir/software.h"

namespace helm::config {

struct FrameworkContext {
  PresetPath presets;
  std::string folder;  // of the file that holds the value
};

// A preset's name or a file. Switches that neither the file nor what it extends gives are those of HELM's own executor. Reports everything
// that is wrong; nothing is returned then.
std::optional<ir::Software> ReadFramework(const YamlValue& value, const FrameworkContext& context, Diagnostics& diagnostics);

}  // namespace helm::config
