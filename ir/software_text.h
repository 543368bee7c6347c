// How Software is written in files: one key for each switch, in run configurations (`software`), framework files and plans.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/mapping_reader.h"
#include "ir/software.h"

namespace helm::ir {

// Every key but `framework`, in the order of the struct; fused kernels as "fused_norm", ...
const std::vector<std::string>& SoftwareKeys();

// Reads the keys that the mapping gives into `software`; what it does not give stays. Declares every key of SoftwareKeys.
void ReadSwitches(MappingReader& reader, Software& software);
// The same for one key and a value that stands elsewhere. REQUIRES: `key` is one of SoftwareKeys.
void ReadSwitch(const std::string& key, const YamlValue& value, Software& software, Diagnostics& diagnostics);

// `framework` and every switch.
nlohmann::ordered_json ToJson(const Software& software);
// `framework` and what differs from `base`: what a person wants to see.
nlohmann::ordered_json Differences(const Software& software, const Software& base);

}  // namespace helm::ir
