// The sections of a run configuration, each read by a function of its own. Private to config/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/framework.h"
#include "config/run_config.h"
#include "core/diagnostics.h"
#include "core/located_yaml.h"
#include "core/mapping_reader.h"
#include "ir/strategy.h"

namespace helm::config {

// Words that the format knows and this version cannot do yet. `fix` says what it can.
void Unsupported(const Location& where, const std::string& what, const std::string& fix, Diagnostics& diagnostics);

ir::Workload ReadWorkload(const YamlValue& value, Diagnostics& diagnostics);
// `local`: the default framework is helm, else megatron-core.
ir::Software ReadSoftware(const YamlValue* value, bool local, const FrameworkContext& context, Diagnostics& diagnostics);
SearchOptions ReadSearch(const YamlValue& value, Diagnostics& diagnostics);
ir::Tolerance ReadTolerance(const YamlValue& value, Diagnostics& diagnostics);

// What the values that were given mean together: divisibility, world size, sequence length. `document`: for the places.
void CheckMeaning(const RunConfig& config, const YamlValue& document, Diagnostics& diagnostics);

}  // namespace helm::config
