#include "formats/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"

namespace helm::formats {
namespace {

using Json = nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little, "tensor data is copied as it lies in memory");

constexpr size_t kAlignment = 8;                  // of the data, reached by spaces after the header, as Hugging Face's writer does
constexpr size_t kHeaderBytesMost = 100'000'000;  // the limit of Hugging Face's reader (safetensors, tensor.rs, MAX_HEADER_SIZE)
constexpr std::string_view kMetadata = "__metadata__";

constexpr std::pair<ir::DataType, std::string_view> kDtypeNames[] = {
    {ir::DataType::kFloat32, "F32"}, {ir::DataType::kBFloat16, "BF16"},      {ir::DataType::kFloat16, "F16"},
    {ir::DataType::kInt64, "I64"},   {ir::DataType::kInt32, "I32"},          {ir::DataType::kBool, "BOOL"},
    {ir::DataType::kUInt8, "U8"},    {ir::DataType::kFloat8E4M3, "F8_E4M3"}, {ir::DataType::kFloat8E5M2, "F8_E5M2"},
};

std::string_view DtypeName(ir::DataType dtype) {
  for (const auto& [type, name] : kDtypeNames) {
    if (type == dtype) return name;
  }
  HELM_CHECK(false, "every data type has a safetensors name");
}

std::optional<ir::DataType> DtypeFromName(std::string_view wanted) {
  for (const auto& [type, name] : kDtypeNames) {
    if (name == wanted) return type;
  }
  return std::nullopt;
}

std::string AllowedDtypes() {
  std::string text;
  for (const auto& [type, name] : kDtypeNames) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

bool IsNaturalArray(const Json& value) {
  return value.is_array() && std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_number_unsigned(); });
}

// Elements of the shape, or nothing when the count does not fit the data anyway.
std::optional<size_t> CountElements(const ir::Shape& shape, size_t limit) {
  size_t count = 1;
  for (const int64_t size : shape) {
    if (size == 0) return 0;
    if (size < 0 || count > limit / static_cast<size_t>(size)) return std::nullopt;
    count *= static_cast<size_t>(size);
  }
  return count;
}

Result<TensorPlace> ReadPlace(const std::string& name, const Json& value, size_t data_bytes, const std::string& path) {
  const auto error = [&](std::string_view what) { return InvalidError(fmt::format("{}: error: tensor '{}': {}", path, name, what)); };
  if (!value.is_object()) return error("its header entry is not a mapping");
  for (const auto& [key, ignored] : value.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") return error(fmt::format("unknown key '{}'", key));
  }
  if (!value.contains("dtype") || !value["dtype"].is_string()) return error("no 'dtype'");
  if (!value.contains("shape") || !IsNaturalArray(value["shape"])) return error("'shape' is not a list of whole numbers");
  if (!value.contains("data_offsets") || !IsNaturalArray(value["data_offsets"]) || value["data_offsets"].size() != 2) {
    return error("'data_offsets' is not [begin, end]");
  }
  const auto dtype_name = value["dtype"].get<std::string>();
  const std::optional<ir::DataType> dtype = DtypeFromName(dtype_name);
  if (!dtype) return error(fmt::format("dtype '{}' is not read; allowed: {}", dtype_name, AllowedDtypes()));

  TensorPlace place{.spec = {.name = name, .dtype = *dtype, .shape = value["shape"].get<ir::Shape>()},
                    .begin = value["data_offsets"][0].get<size_t>(),
                    .end = value["data_offsets"][1].get<size_t>()};
  if (place.begin > place.end || place.end > data_bytes) {
    return error(
        fmt::format("its bytes {}..{} are not inside the {} bytes of data: is the file cut off?", place.begin, place.end, data_bytes));
  }
  const std::optional<size_t> count = CountElements(place.spec.shape, data_bytes);
  const size_t element_bytes = static_cast<size_t>(ir::ElementBytes(*dtype));
  if (!count || *count * element_bytes != place.end - place.begin) {
    return error(
        fmt::format("shape [{}] of {} does not take {} bytes", fmt::join(place.spec.shape, ", "), dtype_name, place.end - place.begin));
  }
  return place;
}

Result<Json> ParseHeader(std::string_view text, const std::string& path) {
  if (!text.starts_with('{'))
    return InvalidError(fmt::format("{}: error: not a safetensors file: the header does not begin with '{{'", path));
  return ParseJson(text, path);  // an object, since it begins like one; refuses duplicate names
}

Result<std::map<std::string, std::string>> ReadMetadata(const Json& value, const std::string& path) {
  std::map<std::string, std::string> metadata;
  if (!value.is_object()) return InvalidError(fmt::format("{}: error: '{}' is not a mapping", path, kMetadata));
  for (const auto& [key, item] : value.items()) {
    if (!item.is_string()) return InvalidError(fmt::format("{}: error: '{}': the value of '{}' is not a string", path, kMetadata, key));
    metadata[key] = item.get<std::string>();
  }
  return metadata;
}

// Sorted by place; every byte of the data belongs to exactly one tensor.
Status CheckNoHoles(const std::vector<TensorPlace>& places, size_t data_bytes, const std::string& path) {
  size_t end = 0;
  for (const TensorPlace& place : places) {
    if (place.begin != end) {
      return InvalidError(fmt::format("{}: error: tensor '{}' begins at byte {} of the data, expected {}: tensors overlap or leave a hole",
                                      path, place.spec.name, place.begin, end));
    }
    end = place.end;
  }
  if (end == data_bytes) return OkStatus();
  return InvalidError(fmt::format("{}: error: {} bytes of data after the last tensor", path, data_bytes - end));
}

}  // namespace

NamedTensor FloatTensor(std::string name, ir::Shape shape, std::span<const float> values) {
  HELM_CHECK(ir::ElementCount(shape) == static_cast<int64_t>(values.size()), "one value per element");
  const auto bytes = std::as_bytes(values);
  return {std::move(name), ir::DataType::kFloat32, std::move(shape), {bytes.begin(), bytes.end()}};
}

NamedTensor IntegerTensor(std::string name, ir::Shape shape, std::span<const int64_t> values) {
  HELM_CHECK(ir::ElementCount(shape) == static_cast<int64_t>(values.size()), "one value per element");
  const auto bytes = std::as_bytes(values);
  return {std::move(name), ir::DataType::kInt64, std::move(shape), {bytes.begin(), bytes.end()}};
}

std::vector<float> FloatValues(const NamedTensor& tensor) {
  HELM_CHECK(tensor.dtype == ir::DataType::kFloat32, "only F32 tensors have float values");
  std::vector<float> values(tensor.data.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

size_t DataBytes(const TensorSpec& tensor) { return static_cast<size_t>(ir::ElementCount(tensor.shape) * ir::ElementBytes(tensor.dtype)); }

std::string SafetensorsBeginning(const std::vector<TensorSpec>& tensors, const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[std::string(kMetadata)] = metadata;
  size_t end = 0;
  for (const TensorSpec& tensor : tensors) {
    HELM_CHECK(!header.contains(tensor.name), "tensor names are unique");
    const size_t begin = std::exchange(end, end + DataBytes(tensor));
    header[tensor.name] = {{"dtype", DtypeName(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  std::string bytes(kSafetensorsLengthBytes, '\0');
  const uint64_t length = text.size();
  std::memcpy(bytes.data(), &length, kSafetensorsLengthBytes);
  return bytes + text;
}

std::string SerializeSafetensors(const TensorFile& file) {
  std::vector<TensorSpec> specs;
  for (const NamedTensor& tensor : file.tensors) {
    specs.push_back({tensor.name, tensor.dtype, tensor.shape});
    HELM_CHECK(tensor.data.size() == DataBytes(specs.back()), "data of a tensor has the size that shape and dtype say");
  }
  std::string bytes = SafetensorsBeginning(specs, file.metadata);
  size_t end = bytes.size();
  for (const NamedTensor& tensor : file.tensors) end += tensor.data.size();
  bytes.reserve(end);
  for (const NamedTensor& tensor : file.tensors) bytes.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
  return bytes;
}

Result<size_t> SafetensorsHeaderBytes(std::string_view beginning, size_t file_bytes, const std::string& path) {
  if (file_bytes < kSafetensorsLengthBytes) {
    return InvalidError(fmt::format("{}: error: not a safetensors file: only {} bytes", path, file_bytes));
  }
  uint64_t length = 0;
  std::memcpy(&length, beginning.data(), kSafetensorsLengthBytes);
  if (length <= kHeaderBytesMost && length <= file_bytes - kSafetensorsLengthBytes) return static_cast<size_t>(length);
  return InvalidError(
      fmt::format("{}: error: a header of {} bytes in a file of {}: not a safetensors file, or cut off", path, length, file_bytes));
}

Result<TensorTable> ParseSafetensorsHeader(std::string_view text, size_t file_bytes, const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const Json header, ParseHeader(text, path));
  TensorTable table{.data_begin = kSafetensorsLengthBytes + text.size()};
  const size_t data_bytes = file_bytes - table.data_begin;
  for (const auto& [name, value] : header.items()) {
    if (name == kMetadata) {
      HELM_ASSIGN_OR_RETURN(table.metadata, ReadMetadata(value, path));
      continue;
    }
    HELM_ASSIGN_OR_RETURN(table.tensors.emplace_back(), ReadPlace(name, value, data_bytes, path));
  }
  // Empty tensors may share their place with the next one: the shorter first.
  std::stable_sort(table.tensors.begin(), table.tensors.end(),
                   [](const TensorPlace& a, const TensorPlace& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  HELM_RETURN_IF_ERROR(CheckNoHoles(table.tensors, data_bytes, path));
  return table;
}

Result<TensorFile> ParseSafetensors(std::string_view bytes, const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const size_t header_bytes, SafetensorsHeaderBytes(bytes, bytes.size(), path));
  const std::string_view header = bytes.substr(kSafetensorsLengthBytes, header_bytes);
  HELM_ASSIGN_OR_RETURN(const TensorTable table, ParseSafetensorsHeader(header, bytes.size(), path));
  TensorFile file{.tensors = {}, .metadata = table.metadata};
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data()) + table.data_begin;
  for (const auto& [spec, begin, end] : table.tensors) {
    file.tensors.push_back({spec.name, spec.dtype, spec.shape, {data + begin, data + end}});
  }
  return file;
}

Result<TensorFile> ReadSafetensors(const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  return ParseSafetensors(bytes, path);
}

Status WriteSafetensors(const TensorFile& file, const std::string& path) { return WriteFileAtomically(path, SerializeSafetensors(file)); }

}  // namespace helm::formats
