// Any bytes are results of nccl-tests or an error, in both of its forms; whatever is read gives rows of a cost table that read back.
#include "cost/cost_table.h"
#include "formats/nccl_tests.h"
#include "fuzz_support.h"
#include "importer/nccl_tests_rows.h"

namespace {

void Import(const helm::Result<helm::formats::NcclTestsFile>& measured) {
  if (!measured.ok()) return;
  const auto rows = helm::importer::RowsOf(*measured, {.collective = "all_reduce"}, "fuzz");
  if (!rows.ok()) return;
  helm::cost::CostTable table;
  table.device = {.kind = "cuda", .name = "GPU"};
  table.collectives = helm::importer::MeasurementsOf(rows->collectives);
  HELM_CHECK(helm::cost::ParseCostTable(helm::cost::ToJson(table).dump(), "again").ok(), "the rows read back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Import(helm::formats::ParseNcclTestsText(helm::fuzz::Text(data, size), "fuzz"));
  Import(helm::formats::ParseNcclTestsJson(helm::fuzz::Text(data, size), "fuzz"));
  return 0;
}
