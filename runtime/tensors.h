// Tensors of a program as ATen tensors: dtypes and strided views. Internal to runtime/ (shows torch types).
#pragma once

#include <span>

#include <ATen/core/Tensor.h>

#include "ir/program.h"

namespace helm::runtime {

c10::ScalarType ToScalarType(ir::DataType type);

// Uninitialised, contiguous.
at::Tensor EmptyTensor(ir::DataType type, const ir::Shape& shape, c10::Device device);

// A view of `bytes` (a byte tensor that owns a storage). REQUIRES: the view lies within it.
at::Tensor StridedView(const at::Tensor& bytes, ir::DataType type, const ir::Shape& shape, const ir::Shape& strides, int64_t offset);

// Elements from the first to the last that a strided view touches, plus one: what its storage must hold.
int64_t SpannedElements(const ir::Shape& shape, const ir::Shape& strides);

}  // namespace helm::runtime
