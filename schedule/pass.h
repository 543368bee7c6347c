// Passes by name: legal rewrites of a program, as helm-opt runs them and a plan's overlap word names them.
//
// A pass keeps what the program computes; it may change the order of ops and, later, cut them. Every pass is a function of its own
// (schedule/serial.h, ...); here is only the list.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "ir/program.h"

namespace helm::schedule {

// Names of all passes, sorted.
std::vector<std::string> PassNames();

// `pass` is "name" or "name=value". Verifies the program afterwards. An unknown pass, or a value for one that takes none, is kInvalid.
Status RunPass(std::string_view pass, ir::Program& program);

}  // namespace helm::schedule
