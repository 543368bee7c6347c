// The text form of a program: printed by helm-opt, read back to the same program, and hashed (docs/formats/program.md).
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"
#include "ir/program.h"
#include "ir/step_programs.h"

namespace helm::ir {

// REQUIRES: ids are in range and names unique (the first checks of Verify); nothing else, so that a broken program can be looked at.
std::string ToText(const Program& program);

// `file` is used in messages ("FILE:LINE:COLUMN: error: ..."): all errors of the text at once, one for each statement at most. Does not
// call Verify. Never aborts, whatever the text.
Result<Program> ParseProgram(std::string_view text, std::string_view file);

// Of all rank classes: their texts one after the other, each with its own first line. Reading takes one program too.
std::string ToText(const StepPrograms& step);
Result<StepPrograms> ParseStepPrograms(std::string_view text, std::string_view file);

// Stable 64-bit hash of the text form, as 16 hexadecimal digits.
std::string ProgramHash(const Program& program);
std::string ProgramHash(const StepPrograms& step);

}  // namespace helm::ir
