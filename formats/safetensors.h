// Safetensors: reads and writes the Hugging Face tensor file: u64 little-endian header length, a JSON header
// {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {string: string}}, then the data without holes.
//
// Strict: a header that is cut off, has duplicate names, or whose offsets overlap, leave holes, or do not match shape and dtype is an error
// that names file and tensor. Whole files in memory; formats/safetensors_stream.h reads and writes them in pieces, and
// formats/checkpoint_index.h says which files make up a checkpoint.
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

struct TensorSpec {
  std::string name;
  ir::DataType dtype = ir::DataType::kFloat32;
  ir::Shape shape;
  bool operator==(const TensorSpec&) const = default;
};

// Where a tensor's bytes lie in the data behind the header.
struct TensorPlace {
  TensorSpec spec;
  size_t begin = 0;
  size_t end = 0;
};

// What the header of a file says. Invariant: the tensors come in the order of their data and take all of it.
struct TensorTable {
  std::vector<TensorPlace> tensors;
  std::map<std::string, std::string> metadata;
  size_t data_begin = 0;  // in the file
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

// The file up to its data: length, header, padding. REQUIRES: names are unique.
std::string SafetensorsBeginning(const std::vector<TensorSpec>& tensors, const std::map<std::string, std::string>& metadata);
size_t DataBytes(const TensorSpec& tensor);

// Of the header, from the file's first kSafetensorsLengthBytes (or all bytes of a shorter file), checked against the size of the file.
inline constexpr size_t kSafetensorsLengthBytes = 8;
Result<size_t> SafetensorsHeaderBytes(std::string_view beginning, size_t file_bytes, const std::string& path);
// REQUIRES: header.size() is SafetensorsHeaderBytes of the file.
Result<TensorTable> ParseSafetensorsHeader(std::string_view header, size_t file_bytes, const std::string& path);

// The bytes of a file. Tensors keep their order. REQUIRES: names are unique, data sizes match shape and dtype.
std::string SerializeSafetensors(const TensorFile& file);
// `path` is used in messages. Tensors come in the order of their data.
Result<TensorFile> ParseSafetensors(std::string_view bytes, const std::string& path);

Result<TensorFile> ReadSafetensors(const std::string& path);
Status WriteSafetensors(const TensorFile& file, const std::string& path);  // atomic

}  // namespace helm::formats
