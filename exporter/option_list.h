// OptionList: the options of a command line in order, one a line inside a shell array, and the same read back.
//
//     HELM_ARGUMENTS=(
//       --tensor-model-parallel-size 4
//       --sequence-parallel
//       --moe-layer-freq '([0]*3+[1]*58)'
//     )
//
// Not a shell: values are words, or one in single quotes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"

namespace helm::exporter {

inline constexpr std::string_view kArgumentsArray = "HELM_ARGUMENTS";

class OptionList {
 public:
  void Add(const std::string& name, const std::string& value) { options_.emplace_back(name, value); }
  void Add(const std::string& name, int64_t value) { Add(name, std::to_string(value)); }
  void Add(const std::string& name, double value);
  void Flag(const std::string& name) { options_.emplace_back(name, ""); }
  void FlagIf(bool given, const std::string& name) {
    if (given) Flag(name);
  }

  // "HELM_ARGUMENTS=(\n  --name value\n...)\n"
  std::string ToText() const;
  // The first such array of `text`.
  static Result<OptionList> Parse(std::string_view text);

  // Each option is taken once; what is left at the end nobody knows.
  std::optional<std::string> Take(const std::string& name);
  bool TakeFlag(const std::string& name) { return Take(name).has_value(); }
  // A number that must be there, or `fallback`; what is wrong is kept for Finish.
  int64_t TakeInt(const std::string& name, std::optional<int64_t> fallback = std::nullopt);
  double TakeDouble(const std::string& name, double fallback);
  Status Finish() const;

 private:
  std::vector<std::pair<std::string, std::string>> options_;
  std::vector<std::string> problems_;
};

}  // namespace helm::exporter
