// Any bytes are a signature of an op or of a collective, or an error; the text of a signature reads back to the same text.
#include "fuzz_support.h"
#include "ir/signature.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input = helm::fuzz::Text(data, size);
  if (const auto signature = helm::ir::ParseOpSignature(input); signature.ok()) {
    [[maybe_unused]] const helm::Flops flops = helm::ir::FlopsOf(*signature);
    [[maybe_unused]] const helm::Bytes bytes = helm::ir::BytesRead(*signature);
    const std::string text = helm::ir::ToText(*signature);
    const auto again = helm::ir::ParseOpSignature(text);
    HELM_CHECK(again.ok() && helm::ir::ToText(*again) == text, "the text of a signature reads back");
  }
  if (const auto signature = helm::ir::ParseCollectiveSignature(input); signature.ok()) {
    const auto again = helm::ir::ParseCollectiveSignature(helm::ir::ToText(*signature));
    HELM_CHECK(again.ok() && *again == *signature, "a collective's signature reads back");
  }
  return 0;
}
