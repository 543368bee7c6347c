// CheckpointReader: a checkpoint on the disk as the rank of any split wants it: the elements of its segments, whatever boxes the files
// hold.
//
// Reads only pieces that have elements of what is asked for, each with its hash. Knows no interpreter (exec/resume.h puts the values there)
// and not whether the checkpoint belongs to this training (also exec/resume.h). Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/status.h"
#include "exec/parameter_state.h"
#include "formats/checkpoint_index.h"
#include "formats/safetensors_stream.h"
#include "ir/program.h"

namespace helm::exec {

// The tensors of a parameter: its values in fp32, and AdamW's two averages.
enum class StateKind : uint8_t { kParameter, kMomentFirst, kMomentSecond };
// "NAME", "optimizer.moment_first.NAME", "optimizer.moment_second.NAME".
std::string TensorName(StateKind kind, const std::string& parameter);
// A storage of the optimizer that belongs to one rank: "optimizer.rank.3.STORAGE".
std::string RankTensorName(int64_t rank, const std::string& storage);

class CheckpointReader {
 public:
  // `path`: the checkpoint itself. Reads and checks the index.
  static Result<CheckpointReader> Open(const std::string& path);

  const std::string& path() const { return path_; }
  const formats::CheckpointIndex& index() const { return index_; }

  // Every file that the index names is there, whole, and has the tensors that the index says. Reads headers only.
  Status CheckFiles();

  // The elements of a segment in `range`, padding zero.
  Result<std::vector<float>> ReadSegment(StateKind kind, const ir::ParameterSegment& segment, const std::vector<ir::MeshDimension>& mesh,
                                         const std::vector<int64_t>& coordinates, ElementRange range);
  // All parameters of a rank, segment by segment; of sharded segments only the rank's own range, the rest is zero.
  Result<RankState> ReadParameters(const ir::Program& program, int64_t rank);
  // All bytes of a tensor that is in one piece. The tensor is in the index, or this is an error.
  Result<std::vector<std::byte>> ReadWhole(const std::string& tensor);

 private:
  CheckpointReader(std::string path, formats::CheckpointIndex index) : path_(std::move(path)), index_(std::move(index)) {}
  Result<const formats::IndexedTensor*> Find(const std::string& tensor, const ir::Shape& shape) const;
  Result<const formats::SafetensorsReader*> FileOf(const formats::IndexedPiece& piece);
  Result<const formats::TensorPlace*> PlaceOf(const std::string& tensor, const formats::IndexedTensor& indexed,
                                              const formats::IndexedPiece& piece);
  // The values last until the next call.
  Result<std::span<const float>> Values(const std::string& tensor, const formats::IndexedTensor& indexed,
                                        const formats::IndexedPiece& piece);
  Result<formats::NamedTensor> ReadPiece(const std::string& tensor, const formats::IndexedTensor& indexed,
                                         const formats::IndexedPiece& piece);

  std::string path_;
  formats::CheckpointIndex index_;
  std::map<std::string, formats::SafetensorsReader> files_;  // opened
  // The piece that was read last: those that follow each other in a segment (experts) often come from one.
  std::pair<std::string, std::string> last_;  // its file and name
  std::vector<float> last_values_;
};

}  // namespace helm::exec
