// How Strategy and Workload are written in files: the `strategy` and `workload` mappings of run configurations and plans (DESIGN section
// 4), and of `--json`. Strict about form (keys, words, types, ranges); what the values mean together is for who knows model and cluster.
#pragma once

#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "core/diagnostics.h"
#include "core/located_yaml.h"
#include "core/mapping_reader.h"
#include "ir/strategy.h"

namespace helm::ir {

// Sequences of a step, tokens of a sequence: more than anybody trains with, and so little that their products fit 64 bits.
inline constexpr IntRange kBatchSizes{1, int64_t{1} << 30};
inline constexpr IntRange kSequenceLengths{1, int64_t{1} << 30};

// `given` (may be null: a plan, in which nothing is left to choose): the keys that the mapping gives; `overlap: auto` does not count.
// `folder` (null: not allowed, as in a plan): what the file of `schedule: {csv: file}` is relative to.
Strategy ReadStrategy(const YamlValue& value, std::set<std::string>* given, Diagnostics& diagnostics, const std::string* folder = nullptr);
// Keys beyond the degrees (fsdp, stages, head_stage) only where they are used.
nlohmann::ordered_json ToJson(const Strategy& strategy);

// "fp32", "bf16", "fp16", "fp8", "mxfp8", "nvfp4".
std::string DataTypeWord(const Workload& workload);
// Sets dtype and quantization. REQUIRES: `word` is one of those.
void SetDataType(const std::string& word, Workload& workload);
const std::vector<std::string>& DataTypeWords();

// Words of a workload's `kind`.
const std::vector<std::string>& WorkloadKinds();

// Words of `schedule`; zb-1p and zb-2p are other names of zb-h1 and zb-h2 and are read as those.
const std::vector<std::string>& ScheduleWords();

}  // namespace helm::ir
