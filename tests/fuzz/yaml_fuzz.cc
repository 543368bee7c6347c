// Any bytes are a YAML document or an error, in either strictness; a mapping that is written out reads back to the same values.
#include "core/located_yaml.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = helm::fuzz::Text(data, size);
  [[maybe_unused]] const bool lenient = helm::ParseYaml(text, "fuzz", {.scalars_over_lines = true}).ok();
  const auto value = helm::ParseYaml(text, "fuzz");
  if (!value.ok() || !value->is_mapping()) return 0;
  const auto document = helm::ToJson(*value);
  const auto again = helm::ParseYaml(helm::EmitYaml(document), "again");
  HELM_CHECK(again.ok() && helm::ToJson(*again) == document, "a mapping reads back");
  return 0;
}
