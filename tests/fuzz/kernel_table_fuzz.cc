// Any bytes are a kernel table or an error.
#include "cost/kernel_table.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto table = helm::cost::ParseKernelTable(helm::fuzz::Text(data, size), "fuzz");
  HELM_CHECK(table.ok() || !table.status().message().empty(), "an error says something");
  return 0;
}
