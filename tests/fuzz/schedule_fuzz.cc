// Any bytes are a row of a schedule or an error; a schedule that is written out reads back to the same.
#include "fuzz_support.h"
#include "ir/schedule.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto schedule = helm::ir::ParseSchedule(helm::fuzz::Text(data, size));
  if (!schedule.ok()) return 0;
  const auto again = helm::ir::ParseSchedule(helm::ir::ToText(*schedule));
  HELM_CHECK(again.ok() && *again == *schedule, "the schedule reads back");
  return 0;
}
