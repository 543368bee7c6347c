// Any bytes are a tensor file or an error; a file that is written out reads back to the same.
#include "formats/safetensors.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = helm::formats::ParseSafetensors(helm::fuzz::Text(data, size), "fuzz");
  if (!file.ok()) return 0;
  const auto again = helm::formats::ParseSafetensors(helm::formats::SerializeSafetensors(*file), "again");
  HELM_CHECK(again.ok() && *again == *file, "the file reads back");
  return 0;
}
