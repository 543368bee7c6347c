// Any bytes are records of NCCL's Inspector or an error; they give rows of a cost table that read back.
#include "cost/cost_table.h"
#include "formats/nccl_inspector.h"
#include "fuzz_support.h"
#include "importer/inspector_rows.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto dump = helm::formats::ParseInspectorDump(helm::fuzz::Text(data, size), "fuzz");
  if (!dump.ok()) return 0;
  const auto rows = helm::importer::RowsOf({*dump}, {.dtype = helm::ir::DataType::kFloat16});
  HELM_CHECK(rows.ok(), "the type is given");
  helm::cost::CostTable table;
  table.device = {.kind = "cuda", .name = "GPU"};
  table.collectives = helm::importer::MeasurementsOf(rows->collectives);
  HELM_CHECK(helm::cost::ParseCostTable(helm::cost::ToJson(table).dump(), "again").ok(), "the rows read back");
  return 0;
}
