#include "ir/target.h"

namespace helm::ir {
namespace {

struct Parts {
  std::string_view name;
  std::string_view overload;
};

Parts Split(std::string_view target) {
  const size_t name_begin = target.find('.') + 1;  // 0 when there is no namespace
  const std::string_view rest = target.substr(name_begin);
  const size_t dot = rest.find('.');
  if (dot == std::string_view::npos) return {rest, {}};
  return {rest.substr(0, dot), rest.substr(dot + 1)};
}

bool IsInPlace(std::string_view name) { return name.size() > 1 && name.back() == '_'; }

}  // namespace

std::string BaseName(std::string_view target) {
  std::string_view name = Split(target).name;
  if (IsInPlace(name)) name.remove_suffix(1);
  return std::string(name);
}

bool WritesArgument(std::string_view target) {
  const auto [name, overload] = Split(target);
  return IsInPlace(name) || overload == "out" || overload.ends_with("_out") || overload == "output" || overload == "grad_input";
}

}  // namespace helm::ir
