// Published words, read into switches: how sources describe overlap, precision and recomputation in prose. Private to validation/.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace helm::validation {

// Switches of ir::Software as they are written in files: {"gradient_reduce_overlap", "false"}.
using Switches = std::vector<std::pair<std::string, std::string>>;

// `strategy.overlap.<kind>`, kind one of tensor, data, pipeline, expert, note. Nothing when the words are not understood.
std::optional<Switches> OverlapSwitches(const std::string& kind, const std::string& words);

// `workload.dtype_as_published`: gradient dtypes, the fp8 recipe. Words that say nothing about switches are passed over.
Switches PrecisionSwitches(const std::string& words);

// What a framework's own recipe for the model sets that its defaults do not; `title` names the model as the source does.
Switches RecipeSwitches(const std::string& framework, const std::string& title);

// Facts that rows state in `notes`.
Switches NoteSwitches(const std::string& notes);

// `recompute: "custom: ..."`: parts of a layer (ir::RecomputeParts). Nothing when the words are not understood.
std::optional<std::vector<std::string>> RecomputeWords(const std::string& words);

// The message of a Status as one line without places, so that equal reasons are equal:
// "f.yaml:3:1: error: what\n    3 | text\n  allowed: x" -> "what; allowed: x".
std::string OneLine(const std::string& message);

}  // namespace helm::validation
