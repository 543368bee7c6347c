// Any bytes are a token shard or an error; a shard that is written out reads back to the same.
#include "formats/token_shard.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto shard = helm::formats::ParseTokenShard(helm::fuzz::Text(data, size), "fuzz");
  if (!shard.ok()) return 0;
  const auto again = helm::formats::ParseTokenShard(helm::formats::SerializeTokenShard(*shard), "again");
  HELM_CHECK(again.ok() && *again == *shard, "the shard reads back");
  return 0;
}
