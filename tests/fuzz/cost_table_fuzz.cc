// Any bytes are a cost table or an error; a table that is written out reads back to the same.
#include "cost/cost_table.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto table = helm::cost::ParseCostTable(helm::fuzz::Text(data, size), "fuzz");
  if (!table.ok()) return 0;
  const auto document = helm::cost::ToJson(*table);
  const auto again = helm::cost::ParseCostTable(document.dump(), "again");
  HELM_CHECK(again.ok() && helm::cost::ToJson(*again) == document, "the table reads back");
  return 0;
}
