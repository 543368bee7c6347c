// Any bytes are a JSON document or an error, for both readers; a document that is written out reads back to the same.
#include "core/json.h"
#include "core/located_yaml.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = helm::fuzz::Text(data, size);
  const auto located = helm::ParseLocatedJson(text, "fuzz");
  if (located.ok()) [[maybe_unused]]
    const auto tree = helm::ToJson(*located);
  const auto document = helm::ParseJson(text, "fuzz");
  if (!document.ok()) return 0;
  const auto again = helm::ParseJson(document->dump(), "again");
  HELM_CHECK(again.ok() && *again == *document, "a document reads back");
  return 0;
}
