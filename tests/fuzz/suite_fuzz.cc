// Any bytes are a validation suite or an error; a row of a suite is a run or says why not.
#include "fuzz_support.h"
#include "validation/dialect.h"
#include "validation/row.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const helm::config::ConfigContext context{{{"configs"}, helm::MakeDocumentCache()}, helm::fuzz::Machine()};
  const auto suite = helm::validation::ParseSuite(helm::fuzz::Text(data, size), "fuzz.yaml");
  if (!suite.ok()) return 0;
  for (const helm::validation::Row& row : *suite) {
    if (!row.problem.empty()) continue;
    const auto run = helm::validation::ReadRun(row, context);
    HELM_CHECK(run.ok() || !run.status().message().empty(), "an error says something");
  }
  return 0;
}
