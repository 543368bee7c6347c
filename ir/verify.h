// Verify: says what is wrong with a program, all of it at once, naming ops and tensors; ok when every invariant of ir/program.h holds.
// Run on reading a program or plan and after every pass that changed something.
#pragma once

#include "core/cancellation.h"
#include "core/status.h"
#include "ir/program.h"

namespace helm::ir {

// `cancellation` is asked before each check.
Status Verify(const Program& program, const Cancellation& cancellation = {});

}  // namespace helm::ir
