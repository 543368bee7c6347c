#include "runtime/operator_call.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include <ATen/core/List.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include "runtime/tensors.h"

namespace helm::runtime {
namespace {

// "aten.add.Tensor" -> {"aten::add", "Tensor"}.
std::optional<c10::OperatorName> OperatorNameOf(const std::string& target) {
  const size_t first = target.find('.');
  if (first == std::string::npos || first == 0 || first + 1 == target.size()) return std::nullopt;
  const size_t second = target.find('.', first + 1);
  const std::string name = target.substr(first + 1, second == std::string::npos ? second : second - first - 1);
  return c10::OperatorName(target.substr(0, first) + "::" + name, second == std::string::npos ? "" : target.substr(second + 1));
}

std::string TargetOf(const c10::OperatorName& name) {
  std::string target = name.name;
  if (const size_t colons = target.find("::"); colons != std::string::npos) target.replace(colons, 2, ".");
  return name.overload_name.empty() ? target : target + "." + name.overload_name;
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substitute = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substitute, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

// The overloads of the same operator, or else the operator with the most similar name.
std::string Nearest(const std::string& target, const c10::OperatorName& wanted) {
  std::vector<std::string> overloads;
  std::string best;
  size_t best_distance = target.size();
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.name.rfind("aten::", 0) != 0) continue;
    const std::string candidate = TargetOf(name);
    if (name.name == wanted.name) overloads.push_back(candidate);
    const size_t distance = EditDistance(target, candidate);
    if (distance < best_distance || (distance == best_distance && candidate < best)) {
      best_distance = distance;
      best = candidate;
    }
  }
  if (overloads.empty()) return best;
  std::sort(overloads.begin(), overloads.end());
  std::string all = overloads.front();
  for (size_t i = 1; i < overloads.size(); ++i) all += ", " + overloads[i];
  return all;
}

std::string TypeError(const c10::Argument& parameter, const std::string& found) {
  return "argument '" + parameter.name() + "' must be " + parameter.type()->str() + ", found " + found;
}

std::string Describe(const CallArgument& argument) {
  static constexpr const char* kNames[] = {"none",     "a tensor",           "a list of tensors",  "a boolean", "an integer",
                                           "a number", "a list of integers", "a list of booleans", "a string",  "a data type"};
  static_assert(std::variant_size_v<CallArgument> == std::size(kNames));
  return kNames[argument.index()];
}

Status Mismatch(const c10::Argument& parameter, const CallArgument& argument) {
  return InvalidError(TypeError(parameter, Describe(argument)));
}

// A list of the element type: integers where int or SymInt is asked for, reals from integers, booleans. A single integer stands for a list
// of the schema's fixed length (`int[2] stride`), as in PyTorch's own argument parser.
Result<c10::IValue> ListConstant(const c10::Argument& parameter, const c10::TypePtr& element, const CallArgument& argument) {
  if (const auto* flags = std::get_if<std::vector<bool>>(&argument); flags != nullptr && element->kind() == c10::TypeKind::BoolType) {
    c10::List<bool> list;
    for (const bool flag : *flags) list.push_back(flag);
    return c10::IValue(list);
  }
  std::vector<int64_t> numbers;
  if (const auto* many = std::get_if<std::vector<int64_t>>(&argument))
    numbers = *many;
  else if (const auto* one = std::get_if<int64_t>(&argument))
    numbers.assign(static_cast<size_t>(parameter.N().value_or(1)), *one);
  else
    return Mismatch(parameter, argument);
  switch (element->kind()) {
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return c10::IValue(c10::List<int64_t>(at::IntArrayRef(numbers)));
    case c10::TypeKind::FloatType: {
      c10::List<double> list;
      for (const int64_t number : numbers) list.push_back(static_cast<double>(number));
      return c10::IValue(list);
    }
    default:
      return Mismatch(parameter, argument);
  }
}

// A number, boolean, string, data type or device as the schema's type wants it.
Result<c10::IValue> ScalarConstant(const c10::Argument& parameter, const c10::TypePtr& type, const CallArgument& argument) {
  const auto* integer = std::get_if<int64_t>(&argument);
  const auto* real = std::get_if<double>(&argument);
  const auto* flag = std::get_if<bool>(&argument);
  const auto* text = std::get_if<std::string>(&argument);
  const auto* dtype = std::get_if<ir::DataType>(&argument);
  switch (type->kind()) {
    case c10::TypeKind::NumberType:
      if (integer != nullptr) return c10::IValue(*integer);
      if (real != nullptr) return c10::IValue(*real);
      if (flag != nullptr) return c10::IValue(*flag);
      break;
    case c10::TypeKind::FloatType:
      if (real != nullptr) return c10::IValue(*real);
      if (integer != nullptr) return c10::IValue(static_cast<double>(*integer));
      break;
    case c10::TypeKind::IntType:  // ScalarType, Layout and MemoryFormat are integers in a schema
    case c10::TypeKind::SymIntType:
      if (integer != nullptr) return c10::IValue(*integer);
      if (dtype != nullptr) return c10::IValue(ToScalarType(*dtype));
      break;
    case c10::TypeKind::BoolType:
      if (flag != nullptr) return c10::IValue(*flag);
      break;
    case c10::TypeKind::StringType:
      if (text != nullptr) return c10::IValue(*text);
      break;
    case c10::TypeKind::DeviceObjType:
      if (text != nullptr) return c10::IValue(c10::Device(*text));
      break;
    default:
      break;
  }
  return Mismatch(parameter, argument);
}

}  // namespace

Result<c10::OperatorHandle> FindOperator(const std::string& target) {
  const std::optional<c10::OperatorName> name = OperatorNameOf(target);
  if (!name)
    return InvalidError("'" + target +
                        "' is not an operator name; write NAMESPACE.NAME or NAMESPACE.NAME.OVERLOAD, like 'aten.add.Tensor'");
  if (auto handle = c10::Dispatcher::singleton().findSchema(*name)) return *handle;
  return InvalidError("this version of PyTorch has no operator '" + target + "'; nearest: " + Nearest(target, *name));
}

Result<OperatorCall::Step> OperatorCall::MakeStep(const c10::Argument& parameter, const CallArgument& argument) {
  c10::TypePtr type = parameter.type();
  Step step;
  if (type->kind() == c10::TypeKind::OptionalType) {
    if (std::holds_alternative<ir::NoneArgument>(argument)) return step;
    type = type->castRaw<c10::OptionalType>()->getElementType();
  }
  // Where the schema says Tensor, `none` is an undefined one, as Python's None is (the unused inputs of attention's backward).
  if (std::holds_alternative<ir::NoneArgument>(argument) && type->kind() == c10::TypeKind::TensorType) {
    step.constant = c10::IValue(at::Tensor());
    return step;
  }
  if (const auto* slot = std::get_if<TensorSlot>(&argument)) {
    if (type->kind() != c10::TypeKind::TensorType) return Mismatch(parameter, argument);
    step.kind = Step::Kind::kTensor;
    step.slots = {*slot};
    return step;
  }
  if (type->kind() == c10::TypeKind::ListType) {
    const c10::TypePtr element = type->castRaw<c10::ListType>()->getElementType();
    if (const auto* slots = std::get_if<std::vector<TensorSlot>>(&argument)) {
      const bool optional = element->kind() == c10::TypeKind::OptionalType;
      if (!optional && element->kind() != c10::TypeKind::TensorType) return Mismatch(parameter, argument);
      step.kind = optional ? Step::Kind::kOptionalTensorList : Step::Kind::kTensorList;
      step.slots = *slots;
      return step;
    }
    HELM_ASSIGN_OR_RETURN(step.constant, ListConstant(parameter, element, argument));
    return step;
  }
  HELM_ASSIGN_OR_RETURN(step.constant, ScalarConstant(parameter, type, argument));
  return step;
}

Result<OperatorCall::Step> OperatorCall::MakeDefaultStep(const c10::Argument& parameter, c10::Device device) {
  Step step;
  if (parameter.default_value()) {
    step.constant = *parameter.default_value();
  } else if (parameter.type()->kind() != c10::TypeKind::OptionalType) {
    return InvalidError("argument '" + parameter.name() + "' (" + parameter.type()->str() + ") is missing and has no default");
  }
  if (parameter.name() == "device" && step.constant.isNone()) step.constant = c10::IValue(device);
  return step;
}

Result<OperatorCall> OperatorCall::Make(const std::string& target, const std::vector<CallArgument>& arguments, c10::Device device) {
  HELM_ASSIGN_OR_RETURN(const c10::OperatorHandle handle, FindOperator(target));
  OperatorCall call(handle);
  const std::vector<c10::Argument>& parameters = handle.schema().arguments();
  if (arguments.size() > parameters.size()) {
    return InvalidError(target + " takes at most " + std::to_string(parameters.size()) + " arguments, found " +
                        std::to_string(arguments.size()) + ": " + toString(handle.schema()));
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const bool absent =
        i >= arguments.size() || (parameters[i].name() == "device" && std::holds_alternative<ir::NoneArgument>(arguments[i]));
    Result<Step> step = absent ? MakeDefaultStep(parameters[i], device) : MakeStep(parameters[i], arguments[i]);
    if (!step.ok()) return InvalidError(target + ": " + step.status().message() + "; the schema is " + toString(handle.schema()));
    call.steps_.push_back(std::move(step).value());
  }
  return call;
}

bool OperatorCall::returns_list() const {
  const auto& returns = handle_.schema().returns();
  return returns.size() == 1 && returns.front().type()->kind() == c10::TypeKind::ListType;
}

void OperatorCall::Push(std::span<const at::Tensor> tensors, std::vector<c10::IValue>& stack) const {
  stack.clear();
  for (const Step& step : steps_) {
    switch (step.kind) {
      case Step::Kind::kConstant:
        stack.push_back(step.constant);
        break;
      case Step::Kind::kTensor:
        stack.emplace_back(tensors[static_cast<size_t>(step.slots.front().index)]);
        break;
      case Step::Kind::kTensorList: {
        c10::List<at::Tensor> list;
        list.reserve(step.slots.size());
        for (const TensorSlot slot : step.slots) list.push_back(tensors[static_cast<size_t>(slot.index)]);
        stack.emplace_back(std::move(list));
        break;
      }
      case Step::Kind::kOptionalTensorList: {
        c10::List<std::optional<at::Tensor>> list;
        list.reserve(step.slots.size());
        for (const TensorSlot slot : step.slots) {
          list.push_back(slot.index < 0 ? std::nullopt : std::optional<at::Tensor>(tensors[static_cast<size_t>(slot.index)]));
        }
        stack.emplace_back(std::move(list));
        break;
      }
    }
  }
}

void OperatorCall::Call(std::span<const at::Tensor> tensors, std::vector<c10::IValue>& stack) const {
  Push(tensors, stack);
  CallPushed(stack);
}

}  // namespace helm::runtime
