// Any bytes are a trace of torch.profiler or an error; what ran on its GPU gives a timeline that reads back, and can be made a trace again.
#include "core/json.h"
#include "cost/cost_table.h"
#include "formats/chrome_trace.h"
#include "formats/gzip.h"
#include "formats/kineto_trace.h"
#include "fuzz_support.h"
#include "importer/device_work.h"
#include "importer/kineto_rows.h"
#include "importer/kineto_work.h"
#include "ir/timeline.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = helm::fuzz::Text(data, size);
  if (helm::formats::IsGzip(text)) {
    (void)helm::formats::Gunzip(text, "fuzz", size_t{1} << 22);
    return 0;
  }
  const auto trace = helm::formats::ParseKinetoTrace(text, "fuzz");
  if (!trace.ok()) return 0;
  const auto rows = helm::importer::RowsOf({*trace}, {.devices_per_node = 8});
  HELM_CHECK(rows.ok(), "what it holds are rows or left out");
  helm::cost::CostTable table;
  table.device = {.kind = "cuda", .name = "GPU"};
  table.ops = helm::importer::MeasurementsOf(rows->ops);
  table.collectives = helm::importer::MeasurementsOf(rows->collectives);
  HELM_CHECK(helm::cost::ParseCostTable(helm::cost::ToJson(table).dump(), "again").ok(), "the rows read back");
  const auto work = helm::importer::WorkOf(*trace, "fuzz");
  if (!work.ok()) return 0;
  const auto imported = helm::importer::TimelineOf(*work, "fuzz");
  if (!imported.ok()) return 0;
  const auto again = helm::ir::TimelineFromJson(helm::ir::ToJson(imported->timeline), "again");
  HELM_CHECK(again.ok() && *again == imported->timeline, "the timeline reads back");
  HELM_CHECK(helm::formats::ToChromeTrace(imported->timeline).ok(), "its events do not overlap");
  return 0;
}
