// CheckpointIndex: what a sharded checkpoint is made of: every tensor of the model and of the optimizer, unsplit, and which box of it lies
// in which safetensors file; and what training it belongs to. The file "model.safetensors.index.json" (docs/formats/checkpoint.md).
//
// Not the tensors themselves (formats/safetensors_stream.h). Shapes and offsets are those of a Hugging Face checkpoint. Invariant of an
// index that was parsed: the pieces of every tensor cover it and do not overlap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/status.h"
#include "ir/data_type.h"
#include "ir/program.h"

namespace helm::formats {

inline constexpr std::string_view kCheckpointIndexFile = "model.safetensors.index.json";
// How the names of tensors begin that are no parameters.
inline constexpr std::string_view kOptimizerTensor = "optimizer.";

// A box of a tensor, whole in one file.
struct IndexedPiece {
  std::string file;  // in the folder of the index
  ir::Shape offset;  // of its first element in the unsplit tensor
  ir::Shape shape;
  std::string hash;  // of its bytes: BytesHash
  bool operator==(const IndexedPiece&) const = default;
};

struct IndexedTensor {
  ir::DataType dtype = ir::DataType::kFloat32;
  ir::Shape shape;
  std::vector<IndexedPiece> pieces;
  bool operator==(const IndexedTensor&) const = default;
};

// What the training reads and in which order, so that the next step of a resumed one is fed what it would have been.
struct DataOrder {
  std::string source;  // for people: "shipped text"
  std::string tokens;  // a hash of all of them, or of what random ones are made from
  int64_t global_batch = 0;
  int64_t sequence_length = 0;
  bool operator==(const DataOrder&) const = default;
};

struct CheckpointIndex {
  int64_t step = 0;              // steps made; also the optimizer's count, and the number of the next step
  nlohmann::ordered_json model;  // as in the plan
  std::string dtype;             // word of the workload: "bf16"
  std::string strategy;          // of the run that wrote it
  int64_t ranks = 0;             // of that run
  DataOrder data;
  std::map<std::string, IndexedTensor> tensors;
  nlohmann::ordered_json stamp;
  bool operator==(const CheckpointIndex&) const = default;
};

// The name of a piece in its file: the tensor's own where it is all of it, else "NAME[0:24,12:24]".
std::string PieceName(const std::string& tensor, const ir::Shape& shape, const IndexedPiece& piece);
std::string BytesHash(std::span<const std::byte> bytes);

// The text of the file.
std::string ToText(const CheckpointIndex& index);
// Strict: unknown keys, another schema version, pieces that overlap, leave elements out or reach past their tensor, file names that lead
// elsewhere, a content that is not that which was written, are errors that name file and tensor.
Result<CheckpointIndex> ParseCheckpointIndex(std::string_view text, const std::string& path);

}  // namespace helm::formats
