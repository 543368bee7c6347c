// Any bytes are a checkpoint's index or an error; an index that is written out reads back to the same. Since a content hash would stop
// nearly every mutation at the door, an input that is JSON is read a second time under the hash of what it has become.
#include <nlohmann/json.hpp>

#include "core/hash.h"
#include "core/json.h"
#include "formats/checkpoint_index.h"
#include "fuzz_support.h"

namespace {

void Check(std::string_view text) {
  const auto index = helm::formats::ParseCheckpointIndex(text, "fuzz");
  if (!index.ok()) return;
  const auto again = helm::formats::ParseCheckpointIndex(helm::formats::ToText(*index), "again");
  HELM_CHECK(again.ok() && *again == *index, "the index reads back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = helm::fuzz::Text(data, size);
  Check(text);
  auto document = helm::ParseJson(text, "fuzz");
  if (!document.ok() || !document->is_object()) return 0;
  document->erase("content_hash");
  const std::string hash = helm::Hex16(helm::Hash64(document->dump()));
  (*document)["content_hash"] = hash;
  Check(document->dump());
  return 0;
}
