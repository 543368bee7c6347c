#include "exec/parameter_state.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/frozen.h"

namespace helm::exec {
namespace {

// Rows of the box: all dimensions but the last, counted through in row-major order.
class RowCounter {
 public:
  explicit RowCounter(const ir::Shape& sizes) : sizes_(sizes), index_(sizes.size(), 0) {}

  const std::vector<int64_t>& index() const { return index_; }

  // The next row; false behind the last.
  bool Advance() {
    for (size_t d = sizes_.size(); d-- > 0;) {
      if (++index_[d] < sizes_[d]) return true;
      index_[d] = 0;
    }
    return false;
  }

 private:
  ir::Shape sizes_;
  std::vector<int64_t> index_;
};

std::vector<float> Transposed(const std::vector<float>& values, int64_t rows, int64_t columns) {
  std::vector<float> result(values.size());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) result[column * rows + row] = values[row * columns + column];
  }
  return result;
}

// The unsplit tensors of a program, all elements zero, and which of them have been given.
struct Assembly {
  UnsplitState tensors;
  std::map<std::string, std::vector<bool>> given;
};

void AddEmpty(const ir::Program& program, const RankState& state, Assembly& assembly) {
  for (size_t s = 0; s < program.segments.size(); ++s) {
    if (state.segments[s].empty()) continue;
    for (const ir::ParameterPiece& piece : program.segments[s].pieces) {
      const size_t count = static_cast<size_t>(ir::ElementCount(piece.global_shape));
      const auto [entry, inserted] = assembly.tensors.try_emplace(piece.name, UnsplitTensor{piece.global_shape, piece.transposed, {}});
      HELM_CHECK(entry->second.shape == piece.global_shape, "all pieces of a parameter agree on its shape");
      if (!inserted) continue;
      entry->second.values.resize(count);
      assembly.given[piece.name].resize(count);
    }
  }
}

void Add(const std::vector<ElementRun>& runs, const std::vector<float>& segment, UnsplitTensor* tensor, std::vector<bool>* given) {
  for (const ElementRun& run : runs) {
    for (int64_t i = 0; i < run.count; ++i) {
      const size_t to = static_cast<size_t>(run.in_parameter + i);
      if ((*given)[to]) continue;
      (*given)[to] = true;
      tensor->values[to] = segment[static_cast<size_t>(run.in_segment + i)];
    }
  }
}

}  // namespace

std::vector<ElementRun> RunsOf(const ir::ParameterPiece& piece, const std::vector<ir::MeshDimension>& mesh,
                               const std::vector<int64_t>& coordinates) {
  const size_t dimensions = piece.global_shape.size();
  HELM_CHECK(piece.box_offset.size() == dimensions && piece.box_shape.size() == dimensions, "a box has the dimensions of its parameter");
  const ir::Shape parameter_strides = ir::ContiguousStrides(piece.global_shape);
  const ir::Shape box_strides = ir::ContiguousStrides(piece.box_shape);

  int64_t parameter_begin = 0;
  ir::Shape inside = piece.box_shape;  // the part of the box that is not padding
  for (size_t d = 0; d < dimensions; ++d) {
    const int64_t offset = ir::Evaluate(piece.box_offset[d], mesh, coordinates);
    inside[d] = std::clamp<int64_t>(piece.global_shape[d] - offset, 0, piece.box_shape[d]);
    parameter_begin += offset * parameter_strides[d];
  }
  if (ir::ElementCount(inside) == 0) return {};

  const int64_t row_length = dimensions == 0 ? 1 : inside.back();
  if (dimensions > 0) inside.pop_back();
  std::vector<ElementRun> runs;
  RowCounter rows(inside);
  do {
    ElementRun run{.in_segment = piece.offset, .in_parameter = parameter_begin, .count = row_length};
    for (size_t d = 0; d < rows.index().size(); ++d) {
      run.in_segment += rows.index()[d] * box_strides[d];
      run.in_parameter += rows.index()[d] * parameter_strides[d];
    }
    const bool continues = !runs.empty() && runs.back().in_segment + runs.back().count == run.in_segment &&
                           runs.back().in_parameter + runs.back().count == run.in_parameter;
    if (continues) {
      runs.back().count += run.count;
    } else {
      runs.push_back(run);
    }
  } while (rows.Advance());
  return runs;
}

ElementRange OwnRange(const ir::ParameterSegment& segment, const std::vector<ir::MeshDimension>& mesh,
                      const std::vector<int64_t>& coordinates) {
  const ir::RankPlace along = ir::PlaceAlong(mesh, coordinates, segment.sharded_over);
  const int64_t own = segment.elements / along.ranks;
  return {along.place * own, (along.place + 1) * own};
}

std::vector<ElementRun> OwnRunsOf(const ir::ParameterSegment& segment, const ir::ParameterPiece& piece,
                                  const std::vector<ir::MeshDimension>& mesh, const std::vector<int64_t>& coordinates) {
  const ElementRange own = OwnRange(segment, mesh, coordinates);
  std::vector<ElementRun> cut;
  for (const ElementRun& run : RunsOf(piece, mesh, coordinates)) {
    const int64_t begin = std::max(run.in_segment, own.begin);
    const int64_t end = std::min(run.in_segment + run.count, own.end);
    if (begin < end) cut.push_back({begin, run.in_parameter + begin - run.in_segment, end - begin});
  }
  return cut;
}

Result<UnsplitState> Unsplit(const ir::StepPrograms& step, std::span<const RankState> ranks) {
  HELM_CHECK(static_cast<int64_t>(ranks.size()) == ir::WorldSize(step.mesh()), "one state per rank");
  Assembly assembly;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const ir::Program& program = step.OfRank(static_cast<int64_t>(rank));
    const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, static_cast<int64_t>(rank));
    AddEmpty(program, ranks[rank], assembly);
    for (size_t s = 0; s < program.segments.size(); ++s) {
      if (ranks[rank].segments[s].empty()) continue;
      for (const ir::ParameterPiece& piece : program.segments[s].pieces) {
        Add(OwnRunsOf(program.segments[s], piece, program.mesh, coordinates), ranks[rank].segments[s], &assembly.tensors[piece.name],
            &assembly.given[piece.name]);
      }
    }
  }
  for (const auto& [name, given] : assembly.given) {
    const auto missing = std::find(given.begin(), given.end(), false);
    if (missing != given.end())
      return InternalError(fmt::format("no rank holds element {} of parameter '{}'", missing - given.begin(), name));
  }
  return std::move(assembly.tensors);
}

formats::TensorFile ToTensorFile(const UnsplitState& state) {
  formats::TensorFile file;
  file.metadata = {{"format", "pt"}};  // what the loaders of Hugging Face's libraries want to see
  for (const auto& [name, tensor] : state) {
    if (tensor.transposed) {
      HELM_CHECK(tensor.shape.size() == 2, "only matrices are stored transposed");
      file.tensors.push_back(
          formats::FloatTensor(name, {tensor.shape[1], tensor.shape[0]}, Transposed(tensor.values, tensor.shape[0], tensor.shape[1])));
    } else {
      file.tensors.push_back(formats::FloatTensor(name, tensor.shape, tensor.values));
    }
  }
  return file;
}

formats::TensorFile ToTensorFile(const ir::Program& program, const RankState& state) {
  formats::TensorFile file;
  for (size_t s = 0; s < program.segments.size(); ++s) {
    const std::vector<float>& values = state.segments[s];
    file.tensors.push_back(formats::FloatTensor(program.segments[s].name, {static_cast<int64_t>(values.size())}, values));
  }
  return file;
}

Result<RankState> RankStateFromFile(const ir::Program& program, const formats::TensorFile& file, const std::string& path) {
  if (file.tensors.size() != program.segments.size()) return InternalError(fmt::format("{}: not a state of this program", path));
  RankState state;
  for (size_t s = 0; s < program.segments.size(); ++s) {
    const formats::NamedTensor& tensor = file.tensors[s];
    const bool none = ir::IsFrozen(program.segments[s]) && tensor.shape == ir::Shape{0};
    if (tensor.name != program.segments[s].name || (tensor.shape != ir::Shape{program.segments[s].elements} && !none)) {
      return InternalError(fmt::format("{}: segment '{}' is not that of the program", path, tensor.name));
    }
    state.segments.push_back(formats::FloatValues(tensor));
  }
  return state;
}

}  // namespace helm::exec
