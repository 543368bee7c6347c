#include "exec/initial_state.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>

#include <fmt/format.h>

#include "core/check.h"
#include "core/random.h"
#include "exec/gradient_pass.h"

namespace helm::exec {
namespace {

void FillPiece(const ir::ParameterPiece& piece, const std::vector<ElementRun>& runs, uint64_t seed, std::vector<float>* segment) {
  const RandomStream stream(seed, piece.name);
  for (const ElementRun& run : runs) {
    float* output = segment->data() + run.in_segment;
    switch (piece.initialization) {
      case ir::Initialization::kZeros:
        std::fill_n(output, run.count, 0.0F);
        break;
      case ir::Initialization::kOnes:
        std::fill_n(output, run.count, 1.0F);
        break;
      case ir::Initialization::kNormal:
        stream.FillNormal(static_cast<uint64_t>(run.in_parameter), run.count, 0.0, piece.standard_deviation, output);
        break;
    }
  }
}

Status WriteZeros(const ir::Program& program, ir::StorageId id, runtime::Interpreter& interpreter) {
  const std::vector<std::byte> zeros(static_cast<size_t>(program.storage(id).bytes.count()));
  return interpreter.WriteStorage(id, zeros);
}

// A storage may be longer than its segment (alignment): the rest is zero.
Status WritePadded(const ir::Program& program, ir::StorageId id, std::span<const std::byte> values, runtime::Interpreter& interpreter) {
  std::vector<std::byte> bytes(static_cast<size_t>(program.storage(id).bytes.count()));
  HELM_CHECK(values.size() <= bytes.size(), "a segment fits its storage");
  std::memcpy(bytes.data(), values.data(), values.size());
  return interpreter.WriteStorage(id, bytes);
}

// `own`: the elements that the rank's master copy holds.
Status WriteSegment(const ir::Program& program, const ir::ParameterSegment& segment, const std::vector<float>& values, ElementRange own,
                    runtime::Interpreter& interpreter) {
  const std::span<const float> all(values);
  const auto master = all.subspan(static_cast<size_t>(own.begin), static_cast<size_t>(own.end - own.begin));
  HELM_RETURN_IF_ERROR(WritePadded(program, segment.master, std::as_bytes(master), interpreter));
  if (segment.master == segment.parameter) return OkStatus();
  const bool wide = program.storage(segment.parameter).bytes.count() >= segment.elements * static_cast<int64_t>(sizeof(float));
  if (wide) return WritePadded(program, segment.parameter, std::as_bytes(all), interpreter);
  std::vector<uint16_t> narrow;
  narrow.reserve(values.size());
  for (const float value : values) narrow.push_back(BFloat16Bits(value));
  return WritePadded(program, segment.parameter, std::as_bytes(std::span(narrow)), interpreter);
}

// What the rank holds of a segment, at its place among all elements.
std::vector<float> Placed(const ir::ParameterSegment& segment, ElementRange own, const std::vector<float>& values) {
  HELM_CHECK(static_cast<int64_t>(values.size()) == own.end - own.begin, "a rank holds its own range");
  std::vector<float> all(static_cast<size_t>(segment.elements));
  std::ranges::copy(values, all.begin() + own.begin);
  return all;
}

// `elements` floats of a storage, from element `offset` on.
Result<std::vector<float>> ReadFloats(ir::StorageId id, int64_t offset, int64_t elements, const runtime::Interpreter& interpreter) {
  HELM_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, interpreter.ReadStorage(id));
  const size_t begin = static_cast<size_t>(offset) * sizeof(float);
  std::vector<float> values(static_cast<size_t>(elements));
  HELM_CHECK(begin + values.size() * sizeof(float) <= bytes.size(), "a segment lies inside its storage");
  std::memcpy(values.data(), bytes.data() + begin, values.size() * sizeof(float));
  return values;
}

}  // namespace

uint16_t BFloat16Bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40);  // quiet
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

RankState InitialState(const ir::Program& program, int64_t rank, uint64_t seed) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  RankState state;
  for (const ir::ParameterSegment& segment : program.segments) {
    std::vector<float>& values = state.segments.emplace_back(static_cast<size_t>(segment.elements));
    for (const ir::ParameterPiece& piece : segment.pieces) FillPiece(piece, RunsOf(piece, program.mesh, coordinates), seed, &values);
  }
  return state;
}

Status WriteState(const ir::Program& program, int64_t rank, const RankState& state, runtime::Interpreter& interpreter) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  for (size_t id = 0; id < program.storages.size(); ++id) {
    if (program.storages[id].persistent) HELM_RETURN_IF_ERROR(WriteZeros(program, ir::StorageId(id), interpreter));
  }
  for (size_t s = 0; s < program.segments.size(); ++s) {
    const ElementRange own = OwnRange(program.segments[s], program.mesh, coordinates);
    HELM_RETURN_IF_ERROR(WriteSegment(program, program.segments[s], state.segments[s], own, interpreter));
  }
  return OkStatus();
}

Result<RankState> ReadParameters(const ir::Program& program, int64_t rank, const runtime::Interpreter& interpreter) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  RankState state;
  for (const ir::ParameterSegment& segment : program.segments) {
    const ElementRange own = OwnRange(segment, program.mesh, coordinates);
    HELM_ASSIGN_OR_RETURN(const std::vector<float> values, ReadFloats(segment.master, 0, own.end - own.begin, interpreter));
    state.segments.push_back(Placed(segment, own, values));
  }
  return state;
}

Result<RankState> ReadGradients(const ir::Program& program, int64_t rank, const runtime::Interpreter& interpreter) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  RankState state;
  for (const ir::ParameterSegment& segment : program.segments) {
    if (segment.sharded_over.empty()) {
      HELM_ASSIGN_OR_RETURN(state.segments.emplace_back(),
                            ReadFloats(segment.gradient, segment.gradient_offset, segment.elements, interpreter));
      continue;
    }
    HELM_ASSIGN_OR_RETURN(const std::vector<double> shard, interpreter.ReadOutput(ShardOutput(segment)));
    state.segments.push_back(Placed(segment, OwnRange(segment, program.mesh, coordinates), {shard.begin(), shard.end()}));
  }
  return state;
}

}  // namespace helm::exec
