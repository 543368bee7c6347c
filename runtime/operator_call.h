// OperatorCall: one ATen operator with its arguments, ready to be called again and again through the dispatcher (boxed).
//
// Everything that can be decided once is decided when it is made: the operator is looked up, arguments that are not tensors are converted
// to the types of the operator's schema, defaults are filled in. A call then only pushes values. Internal to runtime/ (shows torch types).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include "core/status.h"
#include "ir/program.h"
#include "ir/signature.h"

namespace helm::runtime {

// The place of a tensor in the caller's array of tensors.
struct TensorSlot {
  int32_t index = -1;
};

using CallArgument = std::variant<ir::NoneArgument, TensorSlot, std::vector<TensorSlot>, bool, int64_t, double, std::vector<int64_t>,
                                  std::vector<bool>, std::string, ir::DataType>;

class OperatorCall {
 public:
  // `arguments` in schema order; trailing ones that have a default may be missing. An argument "device" that is not given becomes `device`.
  static Result<OperatorCall> Make(const std::string& target, const std::vector<CallArgument>& arguments, c10::Device device);

  // Pushes the arguments and calls; afterwards the stack holds the results in schema order. Throws what ATen throws.
  void Call(std::span<const at::Tensor> tensors, std::vector<c10::IValue>& stack) const;
  // The two halves of Call, for a caller that times the second one only.
  void Push(std::span<const at::Tensor> tensors, std::vector<c10::IValue>& stack) const;
  void CallPushed(std::vector<c10::IValue>& stack) const { handle_.callBoxed(&stack); }
  size_t result_count() const { return handle_.schema().returns().size(); }
  bool returns_list() const;  // the only result is a list of tensors

 private:
  struct Step {  // how one argument gets on the stack
    enum class Kind : uint8_t { kConstant, kTensor, kTensorList, kOptionalTensorList };
    Kind kind = Kind::kConstant;
    c10::IValue constant;
    std::vector<TensorSlot> slots;
  };
  explicit OperatorCall(c10::OperatorHandle handle) : handle_(std::move(handle)) {}
  static Result<Step> MakeStep(const c10::Argument& parameter, const CallArgument& argument);
  static Result<Step> MakeDefaultStep(const c10::Argument& parameter, c10::Device device);

  c10::OperatorHandle handle_;
  std::vector<Step> steps_;
};

// "aten.add.Tensor" -> the operator, or a Status that names the nearest existing ones.
Result<c10::OperatorHandle> FindOperator(const std::string& target);

}  // namespace helm::runtime
