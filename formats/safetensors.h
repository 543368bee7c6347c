// Safetensors: reads and writes the Hugging Face tensor file: u64 little-endian header length, a JSON header
// {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {string: string}}, then the data without holes.
//
// Strict: a header that is cut off, has duplicate names, or whose offsets overlap, leave holes, or do not match shape and dtype is an error
// that names file and tensor. Not for sharded checkpoints (model.safetensors.index.json).
// Format: https://github.com/huggingface/safetensors (README, "Format"); docs/formats/state_dump.md says what HELM writes.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "ir/data_type.h"
#include "ir/program.h"

namespace helm::formats {

struct NamedTensor {
  std::string name;
  ir::DataType dtype = ir::DataType::kFloat32;
  ir::Shape shape;
  std::vector<std::byte> data;  // little-endian, row-major, contiguous
  bool operator==(const NamedTensor&) const = default;
};

struct TensorFile {
  std::vector<NamedTensor> tensors;
  std::map<std::string, std::string> metadata;
  bool operator==(const TensorFile&) const = default;
};

// A tensor of floats or 64-bit integers. REQUIRES: values.size() equals the product of the shape.
NamedTensor FloatTensor(std::string name, ir::Shape shape, std::span<const float> values);
NamedTensor IntegerTensor(std::string name, ir::Shape shape, std::span<const int64_t> values);
// The values of an F32 tensor. REQUIRES: dtype is kFloat32.
std::vector<float> FloatValues(const NamedTensor& tensor);

// The bytes of a file. Tensors keep their order. REQUIRES: names are unique, data sizes match shape and dtype.
std::string SerializeSafetensors(const TensorFile& file);
// `path` is used in messages. Tensors come in the order of their data.
Result<TensorFile> ParseSafetensors(std::string_view bytes, const std::string& path);

Result<TensorFile> ReadSafetensors(const std::string& path);
Status WriteSafetensors(const TensorFile& file, const std::string& path);  // atomic

}  // namespace helm::formats
