#include "runtime/operator_call.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace helm::runtime {
namespace {

using ::testing::HasSubstr;
using Integers = std::vector<int64_t>;

const c10::Device kCpu(c10::DeviceType::CPU);

TensorSlot Slot(int32_t index) { return {index}; }

std::vector<c10::IValue> CallOperator(const std::string& target, const std::vector<CallArgument>& arguments,
                                      const std::vector<at::Tensor>& tensors) {
  Result<OperatorCall> call = OperatorCall::Make(target, arguments, kCpu);
  EXPECT_TRUE(call.ok()) << call.status().message();
  std::vector<c10::IValue> stack;
  if (call.ok()) call->Call(tensors, stack);
  return stack;
}

at::Tensor Only(const std::vector<c10::IValue>& stack) {
  EXPECT_EQ(stack.size(), 1u);
  return stack.at(0).toTensor();
}

std::string Error(const std::string& target, const std::vector<CallArgument>& arguments) {
  return OperatorCall::Make(target, arguments, kCpu).status().message();
}

at::Tensor Ramp(at::IntArrayRef shape) { return at::arange(c10::multiply_integers(shape), at::kFloat).view(shape) * 0.25 - 1.0; }

TEST(OperatorCall, TensorsAndDefaults) {
  const at::Tensor a = Ramp({2, 3});
  const at::Tensor b = Ramp({2, 3});
  EXPECT_TRUE(at::equal(Only(CallOperator("aten.add.Tensor", {Slot(0), Slot(1)}, {a, b})), at::add(a, b)));  // alpha defaults to 1
}

TEST(OperatorCall, ScalarFromIntegerNumberAndBoolean) {
  const at::Tensor a = Ramp({4});
  EXPECT_TRUE(at::equal(Only(CallOperator("aten.add.Tensor", {Slot(0), Slot(0), int64_t{3}}, {a})), at::add(a, a, 3)));
  EXPECT_TRUE(at::equal(Only(CallOperator("aten.mul.Scalar", {Slot(0), 0.5}, {a})), at::mul(a, 0.5)));
  EXPECT_TRUE(at::equal(Only(CallOperator("aten.mul.Scalar", {Slot(0), true}, {a})), a));
}

TEST(OperatorCall, FloatFromInteger) {
  const at::Tensor q = Ramp({1, 2, 4, 8});
  const std::vector<c10::IValue> results =
      CallOperator("aten._scaled_dot_product_flash_attention_for_cpu", {Slot(0), Slot(0), Slot(0), int64_t{0}, true}, {q});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_TRUE(at::equal(results[0].toTensor(), std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu(q, q, q, 0.0, true))));
}

TEST(OperatorCall, IntegerLists) {
  const at::Tensor a = Ramp({2, 3});
  EXPECT_TRUE(at::equal(Only(CallOperator("aten.view", {Slot(0), Integers{3, 2}}, {a})), a.view({3, 2})));        // SymInt[]
  EXPECT_TRUE(at::equal(Only(CallOperator("aten.permute", {Slot(0), Integers{1, 0}}, {a})), a.permute({1, 0})));  // int[]
  EXPECT_TRUE(
      at::equal(Only(CallOperator("aten.sum.dim_IntList", {Slot(0), int64_t{1}, true}, {a})), a.sum(1, true)));  // int[1]? from one integer
}

TEST(OperatorCall, OptionalsNoneAndPresent) {
  const at::Tensor a = Ramp({8});
  EXPECT_TRUE(at::equal(Only(CallOperator("aten.clamp", {Slot(0), ir::NoneArgument{}, 0.25}, {a})), at::clamp(a, std::nullopt, 0.25)));
  EXPECT_TRUE(at::equal(Only(CallOperator("aten.slice.Tensor", {Slot(0), int64_t{0}, int64_t{2}, int64_t{6}}, {a})), a.slice(0, 2, 6)));
}

TEST(OperatorCall, DataTypesStringsAndKeywordOnly) {
  const at::Tensor a = Ramp({2, 3});
  const at::Tensor sum = Only(CallOperator("aten.sum.dim_IntList", {Slot(0), Integers{0}, false, ir::DataType::kInt64}, {a}));
  EXPECT_EQ(sum.scalar_type(), at::kLong);
  EXPECT_EQ(Only(CallOperator("aten._to_copy", {Slot(0), ir::DataType::kBFloat16}, {a})).scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(Only(CallOperator("aten.gelu", {Slot(0), std::string("tanh")}, {a})), at::gelu(a, "tanh")));
  EXPECT_EQ(Only(CallOperator("aten.zeros", {Integers{2}, ir::DataType::kBool}, {})).scalar_type(), at::kBool);
}

TEST(OperatorCall, TensorListsOptionalTensorListsBooleanLists) {
  const at::Tensor a = Ramp({2, 3});
  const at::Tensor index = at::tensor({1, 0, 1}, at::kLong);
  const std::vector<TensorSlot> both{Slot(0), Slot(0)};
  EXPECT_TRUE(at::equal(Only(CallOperator("aten.cat", {both, int64_t{1}}, {a})), at::cat({a, a}, 1)));
  const std::vector<TensorSlot> second{Slot(-1), Slot(1)};
  EXPECT_TRUE(at::equal(Only(CallOperator("aten.index.Tensor", {Slot(0), second}, {a, at::tensor({2, 0}, at::kLong)})),
                        a.index_select(1, at::tensor({2, 0}))));
  const at::Tensor weight = at::ones({3});
  const auto [out, mean, rstd] = at::native_layer_norm(a, {3}, weight, weight, 1e-5);
  const std::vector<c10::IValue> gradients = CallOperator(
      "aten.native_layer_norm_backward",
      {Slot(0), Slot(0), Integers{3}, Slot(1), Slot(2), Slot(3), Slot(3), std::vector<bool>{true, false, true}}, {a, mean, rstd, weight});
  ASSERT_EQ(gradients.size(), 3u);
  EXPECT_TRUE(gradients[0].toTensor().defined());
  EXPECT_FALSE(gradients[1].toTensor().defined());
  EXPECT_TRUE(gradients[2].toTensor().defined());
}

TEST(OperatorCall, OutArgument) {
  const at::Tensor a = Ramp({2, 3});
  const at::Tensor b = Ramp({3, 2});
  const at::Tensor out = at::zeros({2, 2});
  const at::Tensor result = Only(CallOperator("aten.mm.out", {Slot(0), Slot(1), Slot(2)}, {a, b, out}));
  EXPECT_EQ(result.const_data_ptr(), out.const_data_ptr());
  EXPECT_TRUE(at::equal(out, at::mm(a, b)));
}

// Without dropout and with equal lengths the backward of attention gets no sequence tables and no random state; its schema says Tensor.
TEST(OperatorCall, NoneWhereATensorIsWantedIsUndefined) {
  const std::vector<CallArgument> arguments = {Slot(0),
                                               Slot(0),
                                               Slot(0),
                                               Slot(0),
                                               Slot(0),
                                               Slot(0),
                                               ir::NoneArgument{},
                                               ir::NoneArgument{},
                                               int64_t{1},
                                               int64_t{1},
                                               0.0,
                                               true,
                                               ir::NoneArgument{},
                                               ir::NoneArgument{}};
  const auto call = OperatorCall::Make("aten._scaled_dot_product_flash_attention_backward", arguments, c10::Device(c10::kCPU));
  ASSERT_TRUE(call.ok()) << call.status().message();
  const std::vector<at::Tensor> tensors = {at::ones({1})};
  std::vector<c10::IValue> stack;
  call->Push(tensors, stack);
  ASSERT_TRUE(stack[6].isTensor());
  EXPECT_FALSE(stack[6].toTensor().defined());
}

TEST(OperatorCall, ErrorsNameTheOperatorAndWhatIsAllowed) {
  EXPECT_THAT(Error("aten.matmull", {}), HasSubstr("no operator 'aten.matmull'; nearest: aten.matmul"));
  EXPECT_THAT(Error("aten.add.Tensr", {}), HasSubstr("aten.add.Scalar, "));
  EXPECT_THAT(Error("aten.add.Tensr", {}), HasSubstr("aten.add.Tensor"));
  EXPECT_THAT(Error("mm", {}), HasSubstr("'mm' is not an operator name"));
  EXPECT_THAT(Error("aten.mm", {Slot(0)}), HasSubstr("argument 'mat2' (Tensor) is missing and has no default"));
  EXPECT_THAT(Error("aten.mm", {Slot(0), 1.0}), HasSubstr("argument 'mat2' must be Tensor, found a number"));
  EXPECT_THAT(Error("aten.t", {Slot(0), int64_t{1}}), HasSubstr("takes at most 1 arguments, found 2"));
  EXPECT_THAT(Error("aten.view", {Slot(0), std::string("x")}), HasSubstr("argument 'size' must be"));
}

}  // namespace
}  // namespace helm::runtime
