#include "runtime/tensors.h"

#include <ATen/ops/empty.h>

#include "core/check.h"

namespace helm::runtime {

c10::ScalarType ToScalarType(ir::DataType type) {
  switch (type) {
    case ir::DataType::kFloat32:
      return c10::ScalarType::Float;
    case ir::DataType::kBFloat16:
      return c10::ScalarType::BFloat16;
    case ir::DataType::kFloat16:
      return c10::ScalarType::Half;
    case ir::DataType::kInt64:
      return c10::ScalarType::Long;
    case ir::DataType::kInt32:
      return c10::ScalarType::Int;
    case ir::DataType::kBool:
      return c10::ScalarType::Bool;
    case ir::DataType::kUInt8:
      return c10::ScalarType::Byte;
    case ir::DataType::kFloat8E4M3:
      return c10::ScalarType::Float8_e4m3fn;
    case ir::DataType::kFloat8E5M2:
      return c10::ScalarType::Float8_e5m2;
  }
  HELM_CHECK(false, "a data type without an ATen scalar type");
}

at::Tensor EmptyTensor(ir::DataType type, const ir::Shape& shape, c10::Device device) {
  return at::empty(shape, at::TensorOptions().dtype(ToScalarType(type)).device(device));
}

at::Tensor StridedView(const at::Tensor& bytes, ir::DataType type, const ir::Shape& shape, const ir::Shape& strides, int64_t offset) {
  at::Tensor view = at::empty({0}, at::TensorOptions().dtype(ToScalarType(type)).device(bytes.device()));
  view.set_(bytes.storage(), offset, shape, strides);
  return view;
}

int64_t SpannedElements(const ir::Shape& shape, const ir::Shape& strides) {
  int64_t last = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return 0;
    last += (shape[i] - 1) * strides[i];
  }
  return last + 1;
}

}  // namespace helm::runtime
