// Any bytes are a collective table or an error.
#include "cost/collective_table.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto table = helm::cost::ParseCollectiveTable(helm::fuzz::Text(data, size), "fuzz");
  HELM_CHECK(table.ok() || !table.status().message().empty(), "an error says something");
  return 0;
}
