// Any bytes are an op signature or an error; the text of a signature reads back to the same text.
#include <cstdint>
#include <string_view>

#include "core/check.h"
#include "ir/signature.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto signature = helm::ir::ParseOpSignature(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!signature.ok()) return 0;
  [[maybe_unused]] const helm::Flops flops = helm::ir::FlopsOf(*signature);
  [[maybe_unused]] const helm::Bytes bytes = helm::ir::BytesRead(*signature);
  const std::string text = helm::ir::ToText(*signature);
  const auto again = helm::ir::ParseOpSignature(text);
  HELM_CHECK(again.ok() && helm::ir::ToText(*again) == text, "the text of a signature reads back");
  return 0;
}
