// Passes by name, as `helm-opt --pass` and a plan's log call them. A pass takes a program and returns a legal rewrite of it; after each
// that changed something the program is verified, and the error of a wrong one names the pass.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "ir/program.h"

namespace helm::schedule {

std::vector<std::string> PassNames();

// `spec`: "name" or "name=value". An unknown name or a value that the pass does not take is kInvalid, with the names there are.
Result<ir::Program> RunPass(std::string_view spec, const ir::Program& program);

// The passes that an overlap word stands for (schedule/materialise.h).
Result<ir::Program> ApplyOverlap(const std::string& word, ir::Program program);

}  // namespace helm::schedule
