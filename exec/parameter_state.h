// The values of a model's parameters (or gradients): as one rank holds them, in flat segments, and unsplit, by Hugging Face name.
//
// This is where boxes are cut and put together: which elements of a segment are which elements of the unsplit parameter. Everything here is
// plain arithmetic on host memory; neither torch nor processes are involved.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "formats/safetensors.h"
#include "ir/step_programs.h"

namespace helm::exec {

// `count` elements that lie next to each other both in the segment and in the unsplit parameter (row-major, in the program's orientation).
struct ElementRun {
  int64_t in_segment = 0;
  int64_t in_parameter = 0;
  int64_t count = 0;
  bool operator==(const ElementRun&) const = default;
};

// Where the piece of the rank with these mesh coordinates lies, without the padding that reaches past the unsplit parameter.
std::vector<ElementRun> RunsOf(const ir::ParameterPiece& piece, const std::vector<ir::MeshDimension>& mesh,
                               const std::vector<int64_t>& coordinates);

// The elements of a segment whose gradients and updated values the rank with these coordinates holds: all, or its shard (ZeRO).
struct ElementRange {
  int64_t begin = 0;
  int64_t end = 0;
};
ElementRange OwnRange(const ir::ParameterSegment& segment, const std::vector<ir::MeshDimension>& mesh,
                      const std::vector<int64_t>& coordinates);

// RunsOf, cut to the rank's own range of the segment.
std::vector<ElementRun> OwnRunsOf(const ir::ParameterSegment& segment, const ir::ParameterPiece& piece,
                                  const std::vector<ir::MeshDimension>& mesh, const std::vector<int64_t>& coordinates);

// By segment of the program: one float per element of the segment; of gradients and updated parameters only the own range counts. Of a
// frozen segment's gradients there are none.
struct RankState {
  std::vector<std::vector<float>> segments;
};

struct UnsplitTensor {
  ir::Shape shape;          // in the program's orientation
  bool transposed = false;  // the file format has it the other way round
  std::vector<float> values;
};
using UnsplitState = std::map<std::string, UnsplitTensor>;  // by Hugging Face name

// Puts the boxes of all ranks (ranks[r] belongs to rank r) together. Where several ranks hold an element, the lowest rank's value is taken.
// An element that no rank holds is an internal error: the program's layout does not cover the model.
Result<UnsplitState> Unsplit(const ir::StepPrograms& step, std::span<const RankState> ranks);

// Tensors under their names, shapes and orientation as in a Hugging Face checkpoint, in the order of their names.
formats::TensorFile ToTensorFile(const UnsplitState& state);

// A rank's state on its way through a file: one F32 tensor per segment, named after it.
formats::TensorFile ToTensorFile(const ir::Program& program, const RankState& state);
Result<RankState> RankStateFromFile(const ir::Program& program, const formats::TensorFile& file, const std::string& path);

}  // namespace helm::exec
