// Overrides of a plan: `--set` on a plan's document, where what a configuration names (a model, a cluster, a GPU, a framework) can be named
// too, although a plan has it written out.
#pragma once

#include <string>
#include <vector>

#include "config/run_config.h"
#include "core/located_yaml.h"
#include "core/status.h"

namespace helm::config {

// Names are those of a configuration, files relative to the working folder. A new framework brings all its switches; other numbers of nodes
// use all of them unless `cluster.gpus` is given too; a cluster that is changed so loses its name.
Status OverridePlan(const std::vector<std::string>& overrides, const ConfigContext& context, YamlValue& document);

}  // namespace helm::config
