// Any bytes are a plan or an error; a plan that is written out reads back to the same.
#include "fuzz_support.h"
#include "ir/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto plan = helm::ir::ParsePlan(helm::fuzz::Text(data, size), "fuzz");
  if (!plan.ok()) return 0;
  const auto again = helm::ir::ParsePlan(helm::ir::ToYaml(*plan), "again");
  HELM_CHECK(again.ok() && *again == *plan, "the plan reads back");
  return 0;
}
