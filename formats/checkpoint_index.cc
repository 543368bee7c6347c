#include "formats/checkpoint_index.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/hash.h"
#include "core/json.h"

namespace helm::formats {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kSchemaVersion = 1;
constexpr int64_t kElementsMost = int64_t{1} << 40;  // of a tensor; so that the bytes of a million of them fit 64 bits
constexpr const char* kContentHash = "content_hash";

Json ToJson(const IndexedTensor& tensor) {
  Json pieces = Json::array();
  for (const IndexedPiece& piece : tensor.pieces) {
    pieces.push_back({{"file", piece.file}, {"offset", piece.offset}, {"shape", piece.shape}, {"hash", piece.hash}});
  }
  return {{"dtype", ir::Name(tensor.dtype)}, {"shape", tensor.shape}, {"pieces", std::move(pieces)}};
}

bool IsWhole(const IndexedTensor& tensor) { return tensor.pieces.size() == 1; }

// What the loaders of Hugging Face's libraries look for. They know no pieces, so only where every parameter is whole.
std::optional<Json> WeightMap(const CheckpointIndex& index) {
  Json files = Json::object();
  for (const auto& [name, tensor] : index.tensors) {
    if (name.starts_with(kOptimizerTensor)) continue;
    if (!IsWhole(tensor)) return std::nullopt;
    files[name] = tensor.pieces.front().file;
  }
  return files;
}

int64_t ParameterBytes(const CheckpointIndex& index) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : index.tensors) {
    if (!name.starts_with(kOptimizerTensor)) bytes += ir::ElementCount(tensor.shape) * ir::ElementBytes(tensor.dtype);
  }
  return bytes;
}

Json ToJson(const CheckpointIndex& index) {
  Json document{{"schema_version", kSchemaVersion}, {"metadata", {{"total_size", ParameterBytes(index)}}}};
  if (auto map = WeightMap(index)) document["weight_map"] = std::move(*map);
  document["step"] = index.step;
  document["dtype"] = index.dtype;
  document["strategy"] = index.strategy;
  document["ranks"] = index.ranks;
  document["data"] = {{"source", index.data.source},
                      {"tokens", index.data.tokens},
                      {"global_batch", index.data.global_batch},
                      {"sequence_length", index.data.sequence_length}};
  document["model"] = index.model;
  document["tensors"] = Json::object();
  for (const auto& [name, tensor] : index.tensors) document["tensors"][name] = ToJson(tensor);
  document["stamp"] = index.stamp;
  return document;
}

// Of everything but the hash itself; does not depend on how the text is laid out.
std::string ContentHash(Json document) {
  document.erase(kContentHash);
  return Hex16(Hash64(document.dump()));
}

Result<ir::Shape> ReadShape(const Json& object, const char* key, const std::string& context) {
  HELM_ASSIGN_OR_RETURN(const Json* list, JsonArray(object, key, context));
  ir::Shape shape;
  for (const Json& size : *list) {
    if (!size.is_number_integer() || size.get<int64_t>() < 0 || size.get<int64_t>() > kElementsMost) {
      return InvalidError(fmt::format("{}: error: '{}' holds {}; allowed: whole numbers from 0 to 2^40", context, key, size.dump()));
    }
    shape.push_back(size.get<int64_t>());
  }
  return shape;
}

Status CheckElements(const ir::Shape& shape, const std::string& context) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 1 || count > kElementsMost / size) {
      return InvalidError(fmt::format("{}: error: the shape [{}] has no elements, or more than 2^40", context, fmt::join(shape, ", ")));
    }
    count *= size;
  }
  return OkStatus();
}

// A name of a file beside the index, so that a checkpoint reads nothing else.
bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string("/\0", 2)) == std::string::npos;
}

Result<IndexedPiece> ReadPiece(const Json& value, const ir::Shape& whole, const std::string& context) {
  HELM_RETURN_IF_ERROR(CheckKeys(value, {"file", "offset", "shape", "hash"}, context));
  IndexedPiece piece;
  HELM_ASSIGN_OR_RETURN(piece.file, JsonString(value, "file", context));
  HELM_ASSIGN_OR_RETURN(piece.offset, ReadShape(value, "offset", context));
  HELM_ASSIGN_OR_RETURN(piece.shape, ReadShape(value, "shape", context));
  HELM_ASSIGN_OR_RETURN(piece.hash, JsonString(value, "hash", context));
  if (!IsPlainFileName(piece.file)) {
    return InvalidError(fmt::format("{}: error: '{}' is not the name of a file beside the index", context, piece.file));
  }
  HELM_RETURN_IF_ERROR(CheckElements(piece.shape, context));
  bool inside = piece.offset.size() == whole.size() && piece.shape.size() == whole.size();
  for (size_t d = 0; inside && d < whole.size(); ++d) inside = piece.offset[d] + piece.shape[d] <= whole[d];
  if (inside) return piece;
  return InvalidError(fmt::format("{}: error: a piece [{}] at [{}] does not lie in the tensor [{}]", context, fmt::join(piece.shape, ", "),
                                  fmt::join(piece.offset, ", "), fmt::join(whole, ", ")));
}

bool Overlap(const IndexedPiece& a, const IndexedPiece& b) {
  for (size_t d = 0; d < a.offset.size(); ++d) {
    if (a.offset[d] + a.shape[d] <= b.offset[d] || b.offset[d] + b.shape[d] <= a.offset[d]) return false;
  }
  return true;
}

// Of pieces that lie in the tensor: no two overlap, and together they have as many elements as it has, so they cover it. Goes through them
// by their first rows and compares each with those whose rows have not ended.
Status CheckCovered(const IndexedTensor& tensor, const std::string& context) {
  std::vector<const IndexedPiece*> pieces;
  int64_t missing = ir::ElementCount(tensor.shape);
  for (const IndexedPiece& piece : tensor.pieces) pieces.push_back(&piece);
  const auto begin = [](const IndexedPiece* piece) { return piece->offset.empty() ? 0 : piece->offset[0]; };
  const auto end = [](const IndexedPiece* piece) { return piece->offset.empty() ? 1 : piece->offset[0] + piece->shape[0]; };
  std::ranges::stable_sort(pieces, {}, begin);
  std::vector<const IndexedPiece*> open;
  for (const IndexedPiece* piece : pieces) {
    std::erase_if(open, [&](const IndexedPiece* other) { return end(other) <= begin(piece); });
    const auto other = std::ranges::find_if(open, [&](const IndexedPiece* candidate) { return Overlap(*candidate, *piece); });
    if (other != open.end()) {
      return InvalidError(fmt::format("{}: error: its pieces at [{}] and [{}] overlap", context, fmt::join((*other)->offset, ", "),
                                      fmt::join(piece->offset, ", ")));
    }
    open.push_back(piece);
    missing -= ir::ElementCount(piece->shape);
  }
  if (missing == 0) return OkStatus();
  return InvalidError(fmt::format("{}: error: {} of its elements are in no piece", context, missing));
}

std::optional<ir::DataType> DataTypeOf(const std::string& name) {
  for (const auto type : {ir::DataType::kFloat32, ir::DataType::kUInt8}) {
    if (ir::Name(type) == name) return type;
  }
  return std::nullopt;
}

Result<IndexedTensor> ReadTensor(const Json& value, const std::string& context) {
  if (!value.is_object()) return InvalidError(fmt::format("{}: error: its entry is not a mapping", context));
  HELM_RETURN_IF_ERROR(CheckKeys(value, {"dtype", "shape", "pieces"}, context));
  IndexedTensor tensor;
  HELM_ASSIGN_OR_RETURN(const std::string dtype, JsonString(value, "dtype", context));
  const auto type = DataTypeOf(dtype);
  if (!type) {
    return InvalidError(fmt::format("{}: error: dtype '{}'; allowed: {}, {}", context, dtype, ir::Name(ir::DataType::kFloat32),
                                    ir::Name(ir::DataType::kUInt8)));
  }
  tensor.dtype = *type;
  HELM_ASSIGN_OR_RETURN(tensor.shape, ReadShape(value, "shape", context));
  HELM_RETURN_IF_ERROR(CheckElements(tensor.shape, context));
  HELM_ASSIGN_OR_RETURN(const Json* pieces, JsonArray(value, "pieces", context));
  for (const Json& piece : *pieces) {
    if (!piece.is_object()) return InvalidError(fmt::format("{}: error: a piece is not a mapping", context));
    HELM_ASSIGN_OR_RETURN(tensor.pieces.emplace_back(), ReadPiece(piece, tensor.shape, context));
  }
  HELM_RETURN_IF_ERROR(CheckCovered(tensor, context));
  return tensor;
}

Result<DataOrder> ReadData(const Json& document, const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const Json* value, JsonObject(document, "data", path));
  const std::string context = path + ": data";
  HELM_RETURN_IF_ERROR(CheckKeys(*value, {"source", "tokens", "global_batch", "sequence_length"}, context));
  DataOrder data;
  HELM_ASSIGN_OR_RETURN(data.source, JsonString(*value, "source", context));
  HELM_ASSIGN_OR_RETURN(data.tokens, JsonString(*value, "tokens", context));
  HELM_ASSIGN_OR_RETURN(data.global_batch, JsonInt64(*value, "global_batch", context));
  HELM_ASSIGN_OR_RETURN(data.sequence_length, JsonInt64(*value, "sequence_length", context));
  return data;
}

Status CheckContent(const Json& document, const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const std::string written, JsonString(document, kContentHash, path));
  const std::string found = ContentHash(document);
  if (written == found) return OkStatus();
  return InvalidError(
      fmt::format("{}: error: the content has the hash {}, and {} was written: the file was changed or damaged", path, found, written));
}

}  // namespace

std::string PieceName(const std::string& tensor, const ir::Shape& shape, const IndexedPiece& piece) {
  if (piece.shape == shape) return tensor;
  std::string ranges;
  for (size_t d = 0; d < shape.size(); ++d) {
    ranges += fmt::format("{}{}:{}", d == 0 ? "" : ",", piece.offset[d], piece.offset[d] + piece.shape[d]);
  }
  return fmt::format("{}[{}]", tensor, ranges);
}

std::string BytesHash(std::span<const std::byte> bytes) {
  return Hex16(Hash64({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
}

// One key a line, one tensor a line: a person can look something up in it, and a large model's is not millions of lines.
std::string ToText(const CheckpointIndex& index) {
  Json document = ToJson(index);
  document[kContentHash] = ContentHash(document);
  std::vector<std::string> lines;
  for (const auto& [key, value] : document.items()) {
    if (key != "tensors") {
      lines.push_back(fmt::format(" {}: {}", Json(key).dump(), value.dump()));
      continue;
    }
    std::vector<std::string> tensors;
    for (const auto& [name, tensor] : value.items()) tensors.push_back(fmt::format("  {}: {}", Json(name).dump(), tensor.dump()));
    lines.push_back(fmt::format(" \"tensors\": {{\n{}\n }}", fmt::join(tensors, ",\n")));
  }
  return fmt::format("{{\n{}\n}}\n", fmt::join(lines, ",\n"));
}

Result<CheckpointIndex> ParseCheckpointIndex(std::string_view text, const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const Json document, ParseJson(text, path));
  HELM_RETURN_IF_ERROR(CheckSchemaVersion(document, kSchemaVersion, path));
  HELM_RETURN_IF_ERROR(CheckKeys(
      document,
      {"schema_version", "metadata", "weight_map", "step", "dtype", "strategy", "ranks", "data", "model", "tensors", "stamp", kContentHash},
      path));
  HELM_RETURN_IF_ERROR(CheckContent(document, path));
  CheckpointIndex index;
  HELM_ASSIGN_OR_RETURN(index.step, JsonInt64(document, "step", path));
  if (index.step < 1) return InvalidError(fmt::format("{}: error: step {}; at least 1 is needed", path, index.step));
  HELM_ASSIGN_OR_RETURN(index.dtype, JsonString(document, "dtype", path));
  HELM_ASSIGN_OR_RETURN(index.strategy, JsonString(document, "strategy", path));
  HELM_ASSIGN_OR_RETURN(index.ranks, JsonInt64(document, "ranks", path));
  HELM_ASSIGN_OR_RETURN(index.data, ReadData(document, path));
  HELM_ASSIGN_OR_RETURN(const Json* model, JsonObject(document, "model", path));
  HELM_ASSIGN_OR_RETURN(const Json* stamp, JsonObject(document, "stamp", path));
  index.model = *model;
  index.stamp = *stamp;
  HELM_ASSIGN_OR_RETURN(const Json* tensors, JsonObject(document, "tensors", path));
  for (const auto& [name, tensor] : tensors->items()) {
    HELM_ASSIGN_OR_RETURN(index.tensors[name], ReadTensor(tensor, fmt::format("{}: tensor '{}'", path, name)));
  }
  return index;
}

}  // namespace helm::formats
