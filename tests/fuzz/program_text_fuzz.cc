// Any bytes are a program or an error; what is a program can be verified, and its text reads back to the same text.
#include <cstdint>
#include <string_view>

#include "core/check.h"
#include "ir/program_text.h"
#include "ir/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto program = helm::ir::ParseProgram(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
  if (!program.ok()) return 0;
  [[maybe_unused]] const bool valid = helm::ir::Verify(*program).ok();
  const std::string text = helm::ir::ToText(*program);
  const auto again = helm::ir::ParseProgram(text, "again");
  HELM_CHECK(again.ok() && helm::ir::ToText(*again) == text, "the text of a program reads back");
  return 0;
}
