#include "cost/fitted_constants.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace helm::cost {
namespace {

struct Named {
  std::string_view name;
  double FittedConstants::* value;
  bool may_be_zero;
};
constexpr std::array<Named, 5> kConstants = {{{"python_kernel_us", &FittedConstants::python_kernel_us, false},
                                              {"attention_backward", &FittedConstants::attention_backward, false},
                                              {"attention_level", &FittedConstants::attention_level, true},
                                              {"sum_exposed", &FittedConstants::sum_exposed, true},
                                              {"clock", &FittedConstants::clock, false}}};

}  // namespace

Status SetFittedConstant(std::string_view name, double value, FittedConstants& constants) {
  const auto* const known = std::ranges::find(kConstants, name, &Named::name);
  if (known == kConstants.end()) {
    std::array<std::string_view, kConstants.size()> names;
    std::ranges::transform(kConstants, names.begin(), &Named::name);
    return InvalidError(fmt::format("error: no fitted constant is called '{}'\n  allowed: {}", name, fmt::join(names, ", ")));
  }
  if (!std::isfinite(value) || value < 0 || (value == 0 && !known->may_be_zero)) {
    return InvalidError(fmt::format("error: {} is {}\n  allowed: a number above 0", name, value));
  }
  constants.*known->value = value;
  return OkStatus();
}

}  // namespace helm::cost
