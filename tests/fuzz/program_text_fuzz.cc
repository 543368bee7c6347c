// Any bytes are a program, or the programs of a step, or an error; what is a program can be verified, and its text reads back to the same
// text.
#include "fuzz_support.h"
#include "ir/program_text.h"
#include "ir/step_programs.h"
#include "ir/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input = helm::fuzz::Text(data, size);
  if (const auto program = helm::ir::ParseProgram(input, "fuzz"); program.ok()) {
    [[maybe_unused]] const bool valid = helm::ir::Verify(*program).ok();
    const std::string text = helm::ir::ToText(*program);
    const auto again = helm::ir::ParseProgram(text, "again");
    HELM_CHECK(again.ok() && helm::ir::ToText(*again) == text, "the text of a program reads back");
  }
  if (const auto step = helm::ir::ParseStepPrograms(input, "fuzz"); step.ok()) {
    [[maybe_unused]] const bool valid = helm::ir::VerifyStep(*step).ok();
    const std::string text = helm::ir::ToText(*step);
    const auto again = helm::ir::ParseStepPrograms(text, "again");
    HELM_CHECK(again.ok() && helm::ir::ToText(*again) == text, "the text of a step reads back");
  }
  return 0;
}
