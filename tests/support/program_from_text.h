// ProgramFromText: a program written in a test in its text form (docs/formats/program.md). Aborts with the reader's or verifier's message.
#pragma once

#include <string_view>

#include "core/check.h"
#include "ir/program_text.h"
#include "ir/verify.h"

namespace helm::test {

inline ir::Program ProgramFromText(std::string_view text) {
  auto program = ir::ParseProgram(text, "test");
  HELM_CHECK(program.ok(), program.status().message().c_str());
  const Status verified = ir::Verify(*program);
  HELM_CHECK(verified.ok(), verified.message().c_str());
  return std::move(program).value();
}

}  // namespace helm::test
