// The text form of a program: printed by helm-opt, read back to the same program, and hashed (docs/formats/program.md).
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"
#include "ir/program.h"

namespace helm::ir {

std::string ToText(const Program& program);

// `file` is used in messages ("FILE:LINE:COLUMN: error: ..."). Does not call Verify.
Result<Program> ParseProgram(std::string_view text, std::string_view file);

// Stable 64-bit hash of the text form, as 16 hexadecimal digits.
std::string ProgramHash(const Program& program);

}  // namespace helm::ir
