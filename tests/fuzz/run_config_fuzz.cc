// Any bytes are a run configuration or an error; the plan of a configuration reads back to the same.
#include "config/run_config.h"
#include "fuzz_support.h"
#include "planner/evaluate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const helm::config::ConfigContext context{{{"configs"}, helm::MakeDocumentCache()}, helm::fuzz::Machine()};
  const auto config = helm::config::ParseRunConfig(helm::fuzz::Text(data, size), "tests/cli/inputs/fuzz.yaml", {}, context);
  if (!config.ok()) return 0;
  const helm::ir::Plan plan = helm::planner::MakePlan(*config, config->strategy);
  const auto again = helm::ir::ParsePlan(helm::ir::ToYaml(plan), "again");
  HELM_CHECK(again.ok() && again->strategy == plan.strategy && again->workload == plan.workload, "the plan reads back");
  return 0;
}
