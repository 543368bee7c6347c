#include "core/file_kind.h"

#include <fmt/format.h>

namespace helm {

FileKind KindOfFormat(std::string_view format) {
  struct Known {
    std::string_view format;
    const char* name;
    const char* taker;
  };
  static constexpr Known kKnown[] = {
      {"helm-plan/", "a plan", "helm-exec runs it, helm-sim prices it"},
      {"helm-cost-table/", "a cost table", "`cost_tables:` of a run configuration and --cost-table take it"},
      {"helm-timeline/", "a timeline", "helm-compare takes it"},
      {"helm-framework/", "a framework file", "`software: {framework: FILE}` of a run configuration names it"},
      {"helm-program/", "a program", "helm-opt takes it"}};
  for (const Known& known : kKnown) {
    if (format.starts_with(known.format)) return {known.name, known.taker};
  }
  return {fmt::format("a file of format '{}'", format), ""};
}

}  // namespace helm
