// Any bytes are a row of a schedule, and a file of them, or an error; what is written out reads back to the same.
#include "fuzz_support.h"
#include "ir/schedule_check.h"
#include "ir/schedule_csv.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = helm::fuzz::Text(data, size);
  if (const auto schedule = helm::ir::ParseSchedule(text); schedule.ok()) {
    const auto again = helm::ir::ParseSchedule(helm::ir::ToText(*schedule));
    HELM_CHECK(again.ok() && *again == *schedule, "the schedule reads back");
  }
  const auto rows = helm::ir::ParseScheduleCsv(text, "fuzz.csv");
  if (!rows.ok()) return 0;
  const auto again = helm::ir::ParseScheduleCsv(helm::ir::ToCsv(*rows), "again.csv");
  HELM_CHECK(again.ok() && *again == *rows, "the file reads back");
  for (int64_t stage = 0; stage < helm::ir::StagesOf(*rows); ++stage) {
    HELM_CHECK(helm::ir::RowOfStage(*rows, stage) >= 0, "every stage has a row");
  }
  return 0;
}
