// Any bytes are a framework file or an error.
#include "config/framework.h"
#include "core/diagnostics.h"
#include "core/located_yaml.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const helm::config::FrameworkContext context{{{"configs"}, helm::MakeDocumentCache()}, "configs/frameworks"};
  const auto value = helm::ParseYaml(helm::fuzz::Text(data, size), "fuzz");
  if (!value.ok()) return 0;
  helm::Diagnostics diagnostics;
  const auto software = helm::config::ReadFramework(*value, context, diagnostics);
  HELM_CHECK(software.has_value() == diagnostics.ok(), "a framework or an error");
  return 0;
}
