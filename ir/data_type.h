// DataType: the element types that a program's tensors can have, with their names in text forms ("f32", "bf16", ...). The two of 8 bits are
// those of Micikevicius et al. 2022 (arXiv 2209.05433).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace helm::ir {

enum class DataType : uint8_t { kFloat32, kBFloat16, kFloat16, kInt64, kInt32, kBool, kUInt8, kFloat8E4M3, kFloat8E5M2 };

// Bytes of one element.
constexpr int64_t ElementBytes(DataType type) {
  switch (type) {
    case DataType::kInt64:
      return 8;
    case DataType::kFloat32:
    case DataType::kInt32:
      return 4;
    case DataType::kBFloat16:
    case DataType::kFloat16:
      return 2;
    case DataType::kBool:
    case DataType::kUInt8:
    case DataType::kFloat8E4M3:
    case DataType::kFloat8E5M2:
      return 1;
  }
  return 0;
}

constexpr bool IsFloat8(DataType type) { return type == DataType::kFloat8E4M3 || type == DataType::kFloat8E5M2; }

constexpr bool IsFloatingPoint(DataType type) {
  return type == DataType::kFloat32 || type == DataType::kBFloat16 || type == DataType::kFloat16 || IsFloat8(type);
}

std::string_view Name(DataType type);
std::optional<DataType> DataTypeFromName(std::string_view name);

}  // namespace helm::ir
