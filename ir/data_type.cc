#include "ir/data_type.h"

#include <array>
#include <utility>

namespace helm::ir {
namespace {

constexpr std::array<std::pair<DataType, std::string_view>, 9> kNames = {{
    {DataType::kFloat32, "f32"},
    {DataType::kBFloat16, "bf16"},
    {DataType::kFloat16, "f16"},
    {DataType::kInt64, "i64"},
    {DataType::kInt32, "i32"},
    {DataType::kBool, "bool"},
    {DataType::kUInt8, "u8"},
    {DataType::kFloat8E4M3, "f8e4m3"},
    {DataType::kFloat8E5M2, "f8e5m2"},
}};

}  // namespace

std::string_view Name(DataType type) {
  for (const auto& [value, name] : kNames) {
    if (value == type) return name;
  }
  return "unknown";
}

std::optional<DataType> DataTypeFromName(std::string_view name) {
  for (const auto& [value, known] : kNames) {
    if (known == name) return value;
  }
  return std::nullopt;
}

}  // namespace helm::ir
