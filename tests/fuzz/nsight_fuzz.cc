// Any bytes are an export of Nsight Systems or an error; what ran on its GPU gives a timeline that reads back.
#include "core/json.h"
#include "formats/nsight_export.h"
#include "fuzz_support.h"
#include "importer/nsight_work.h"
#include "ir/timeline.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto measured = helm::formats::ParseNsightExport(helm::fuzz::Text(data, size), "fuzz");
  if (!measured.ok()) return 0;
  const auto work = helm::importer::WorkOf(*measured, "fuzz");
  if (!work.ok()) return 0;
  const auto imported = helm::importer::TimelineOf(*work, "fuzz");
  if (!imported.ok()) return 0;
  const auto again = helm::ir::TimelineFromJson(helm::ir::ToJson(imported->timeline), "again");
  HELM_CHECK(again.ok() && *again == imported->timeline, "the timeline reads back");
  return 0;
}
