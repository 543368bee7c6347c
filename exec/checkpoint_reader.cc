#include "exec/checkpoint_reader.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/file.h"
#include "exec/parameter_box.h"

namespace helm::exec {

std::string TensorName(StateKind kind, const std::string& parameter) {
  switch (kind) {
    case StateKind::kParameter:
      return parameter;
    case StateKind::kMomentFirst:
      return fmt::format("{}moment_first.{}", formats::kOptimizerTensor, parameter);
    case StateKind::kMomentSecond:
      return fmt::format("{}moment_second.{}", formats::kOptimizerTensor, parameter);
  }
  return "";
}

std::string RankTensorName(int64_t rank, const std::string& storage) {
  return fmt::format("{}rank.{}.{}", formats::kOptimizerTensor, rank, storage);
}

Result<CheckpointReader> CheckpointReader::Open(const std::string& path) {
  const std::string file = fmt::format("{}/{}", path, formats::kCheckpointIndexFile);
  HELM_ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  HELM_ASSIGN_OR_RETURN(formats::CheckpointIndex index, formats::ParseCheckpointIndex(text, file));
  return CheckpointReader(path, std::move(index));
}

Status CheckpointReader::CheckFiles() {
  for (const auto& [name, tensor] : index_.tensors) {
    for (const formats::IndexedPiece& piece : tensor.pieces) HELM_RETURN_IF_ERROR(PlaceOf(name, tensor, piece).status());
  }
  return OkStatus();
}

Result<const formats::SafetensorsReader*> CheckpointReader::FileOf(const formats::IndexedPiece& piece) {
  auto found = files_.find(piece.file);
  if (found == files_.end()) {
    const std::string path = path_ + "/" + piece.file;
    if (!FileExists(path)) {
      return InvalidError(
          fmt::format("{}: error: the checkpoint's index names this file, and it is not there\nfix: put it back, or resume "
                      "from an older checkpoint: --resume {}/step-...",
                      path, FolderOf(path_)));
    }
    HELM_ASSIGN_OR_RETURN(formats::SafetensorsReader reader, formats::SafetensorsReader::Open(path));
    found = files_.emplace(piece.file, std::move(reader)).first;
  }
  return static_cast<const formats::SafetensorsReader*>(&found->second);
}

Result<const formats::TensorPlace*> CheckpointReader::PlaceOf(const std::string& tensor, const formats::IndexedTensor& indexed,
                                                              const formats::IndexedPiece& piece) {
  HELM_ASSIGN_OR_RETURN(const formats::SafetensorsReader* file, FileOf(piece));
  const std::string name = formats::PieceName(tensor, indexed.shape, piece);
  const formats::TensorPlace* place = file->Find(name);
  if (place == nullptr) {
    return InvalidError(fmt::format("{}/{}: error: no tensor '{}', which the checkpoint's index says is there", path_, piece.file, name));
  }
  if (place->spec.dtype == indexed.dtype && place->spec.shape == piece.shape) return place;
  return InvalidError(fmt::format("{}/{}: error: tensor '{}' is {} [{}], the checkpoint's index says {} [{}]", path_, piece.file, name,
                                  ir::Name(place->spec.dtype), fmt::join(place->spec.shape, ", "), ir::Name(indexed.dtype),
                                  fmt::join(piece.shape, ", ")));
}

Result<formats::NamedTensor> CheckpointReader::ReadPiece(const std::string& tensor, const formats::IndexedTensor& indexed,
                                                         const formats::IndexedPiece& piece) {
  HELM_ASSIGN_OR_RETURN(const formats::TensorPlace* place, PlaceOf(tensor, indexed, piece));
  HELM_ASSIGN_OR_RETURN(formats::NamedTensor values, files_.at(piece.file).Read(*place));
  const std::string found = formats::BytesHash(values.data);
  if (found == piece.hash) return values;
  return InvalidError(
      fmt::format("{}/{}: error: the bytes of tensor '{}' have the hash {}, and {} were written: the file is damaged\nfix: "
                  "resume from an older checkpoint: --resume {}/step-...",
                  path_, piece.file, values.name, found, piece.hash, FolderOf(path_)));
}

Result<std::span<const float>> CheckpointReader::Values(const std::string& tensor, const formats::IndexedTensor& indexed,
                                                        const formats::IndexedPiece& piece) {
  const std::pair key(piece.file, formats::PieceName(tensor, indexed.shape, piece));
  if (last_ != key) {
    HELM_ASSIGN_OR_RETURN(const formats::NamedTensor read, ReadPiece(tensor, indexed, piece));
    last_values_ = formats::FloatValues(read);
    last_ = key;
  }
  return std::span<const float>(last_values_);
}

Result<const formats::IndexedTensor*> CheckpointReader::Find(const std::string& tensor, const ir::Shape& shape) const {
  const auto found = index_.tensors.find(tensor);
  if (found == index_.tensors.end()) {
    return InvalidError(fmt::format("{}: error: the checkpoint has no tensor '{}', which the plan's model has", path_, tensor));
  }
  if (found->second.shape == shape && found->second.dtype == ir::DataType::kFloat32) return &found->second;
  return InvalidError(fmt::format("{}: error: tensor '{}' is {} [{}], the plan's model has f32 [{}]", path_, tensor,
                                  ir::Name(found->second.dtype), fmt::join(found->second.shape, ", "), fmt::join(shape, ", ")));
}

Result<std::vector<float>> CheckpointReader::ReadSegment(StateKind kind, const ir::ParameterSegment& segment,
                                                         const std::vector<ir::MeshDimension>& mesh,
                                                         const std::vector<int64_t>& coordinates, ElementRange range) {
  std::vector<float> values(static_cast<size_t>(range.end - range.begin));
  for (const ir::ParameterPiece& wanted : segment.pieces) {
    const std::vector<ParameterBox> boxes = BoxesOf(wanted, mesh, coordinates, range);
    if (boxes.empty()) continue;
    const std::string name = TensorName(kind, wanted.name);
    const ParameterBox whole{ir::Shape(wanted.global_shape.size(), 0), wanted.global_shape};
    HELM_ASSIGN_OR_RETURN(const formats::IndexedTensor* tensor, Find(name, Turned(whole, wanted.transposed).shape));
    const auto places = ElementPlaces::InSegment(wanted, mesh, coordinates, range.begin);
    for (const formats::IndexedPiece& piece : tensor->pieces) {
      const ParameterBox stored = Turned({piece.offset, piece.shape}, wanted.transposed);
      for (const ParameterBox& box : boxes) {
        const auto common = Intersection(box, stored);
        if (!common) continue;
        HELM_ASSIGN_OR_RETURN(const std::span<const float> held, Values(name, *tensor, piece));
        CopyBox(*common, ElementPlaces::InFile(stored, wanted.transposed), held, places, values);
      }
    }
  }
  return values;
}

Result<RankState> CheckpointReader::ReadParameters(const ir::Program& program, int64_t rank) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  RankState state;
  for (const ir::ParameterSegment& segment : program.segments) {
    const ElementRange own = OwnRange(segment, program.mesh, coordinates);
    HELM_ASSIGN_OR_RETURN(const std::vector<float> values, ReadSegment(StateKind::kParameter, segment, program.mesh, coordinates, own));
    state.segments.emplace_back(static_cast<size_t>(segment.elements));
    std::ranges::copy(values, state.segments.back().begin() + own.begin);
  }
  return state;
}

Result<std::vector<std::byte>> CheckpointReader::ReadWhole(const std::string& tensor) {
  const auto found = index_.tensors.find(tensor);
  if (found == index_.tensors.end() || found->second.pieces.size() != 1) {
    return InvalidError(fmt::format("{}: error: the checkpoint has no tensor '{}' in one piece", path_, tensor));
  }
  HELM_ASSIGN_OR_RETURN(formats::NamedTensor read, ReadPiece(tensor, found->second, found->second.pieces.front()));
  return std::move(read.data);
}

}  // namespace helm::exec
