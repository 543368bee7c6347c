// The tensors among an op's arguments and their bytes, as the models of this module count them. Internal to cost/.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "ir/data_type.h"
#include "ir/program.h"
#include "ir/signature.h"

namespace helm::cost {

// In argument order, lists flattened. The pointers are into `op`.
inline std::vector<const ir::TensorSignature*> TensorsOf(const ir::OpSignature& op) {
  std::vector<const ir::TensorSignature*> tensors;
  for (const auto& argument : op.arguments) {
    if (const auto* tensor = std::get_if<ir::TensorSignature>(&argument)) tensors.push_back(tensor);
    if (const auto* list = std::get_if<std::vector<ir::TensorSignature>>(&argument)) {
      for (const ir::TensorSignature& tensor : *list) tensors.push_back(&tensor);
    }
  }
  return tensors;
}

inline int64_t BytesOf(const ir::TensorSignature& tensor) { return ir::ElementCount(tensor.shape) * ir::ElementBytes(tensor.dtype); }

}  // namespace helm::cost
