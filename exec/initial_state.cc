#include "exec/initial_state.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <span>
#include <thread>

#include <fmt/format.h>

#include "core/check.h"
#include "core/random.h"
#include "exec/gradient_pass.h"
#include "ir/frozen.h"

namespace helm::exec {
namespace {

// Values of a normal distribution that one thread fills in one go: pairs share their random numbers, so an even number.
constexpr int64_t kBlockElements = int64_t{1} << 20;

// A stretch of a piece's elements.
struct Block {
  const ir::ParameterPiece* piece = nullptr;
  ElementRun run;
};

std::vector<Block> BlocksOf(const ir::ParameterPiece& piece, const std::vector<ElementRun>& runs) {
  std::vector<Block> blocks;
  for (const ElementRun& run : runs) {
    for (int64_t done = 0; done < run.count; done += kBlockElements) {
      blocks.push_back({&piece, {run.in_segment + done, run.in_parameter + done, std::min(kBlockElements, run.count - done)}});
    }
  }
  return blocks;
}

void Fill(const Block& block, uint64_t seed, std::vector<float>& segment) {
  float* output = segment.data() + block.run.in_segment;
  switch (block.piece->initialization) {
    case ir::Initialization::kZeros:
      std::fill_n(output, block.run.count, 0.0F);
      break;
    case ir::Initialization::kOnes:
      std::fill_n(output, block.run.count, 1.0F);
      break;
    case ir::Initialization::kNormal:
      RandomStream(seed, block.piece->name)
          .FillNormal(static_cast<uint64_t>(block.run.in_parameter), block.run.count, 0.0, block.piece->standard_deviation, output);
      break;
  }
}

// Every value depends on its place alone, so the threads take blocks as they come.
void Fill(const std::vector<Block>& blocks, uint64_t seed, int64_t threads, std::vector<float>& segment) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < blocks.size(); i = next++) Fill(blocks[i], seed, segment);
  };
  std::vector<std::jthread> others;
  for (int64_t i = 1; i < std::min(threads, static_cast<int64_t>(blocks.size())); ++i) others.emplace_back(work);
  work();
}

// Of the tensors that programs make of it.
ir::DataType TypeOf(const ir::Program& program, ir::StorageId storage) {
  for (const ir::Tensor& tensor : program.tensors) {
    if (tensor.storage == storage && !tensor.producer.valid()) return tensor.dtype;
  }
  return ir::DataType::kFloat32;  // nothing reads it
}

// The rank's elements of a segment in fp32; `values` is made to fit.
void FillSegment(const ir::Program& program, const ir::ParameterSegment& segment, const std::vector<int64_t>& coordinates, uint64_t seed,
                 int64_t threads, std::vector<float>& values) {
  values.assign(static_cast<size_t>(segment.elements), 0.0F);  // padding stays zero
  for (const ir::ParameterPiece& piece : segment.pieces) {
    Fill(BlocksOf(piece, RunsOf(piece, program.mesh, coordinates)), seed, threads, values);
  }
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
  if (begin + values.size() * sizeof(float) > bytes.size()) {
    return UnavailableError(
        "error: software.gradients: compute keeps gradients narrower than fp32, which cannot be compared; allowed: fp32");
  }
  std::memcpy(values.data(), bytes.data() + begin, values.size() * sizeof(float));
  return values;
}

}  // namespace

Status WriteInParts(const ir::Program& program, ir::StorageId storage, std::span<const float> values, runtime::Interpreter& interpreter) {
  constexpr size_t kPartElements = size_t{1} << 24;
  const ir::DataType type = TypeOf(program, storage);
  for (size_t done = 0; done < values.size(); done += kPartElements) {
    const auto part = values.subspan(done, std::min(kPartElements, values.size() - done));
    HELM_RETURN_IF_ERROR(interpreter.WriteFloats(storage, type, static_cast<int64_t>(done), part));
  }
  return OkStatus();
}

RankState InitialState(const ir::Program& program, int64_t rank, uint64_t seed) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  RankState state;
  for (const ir::ParameterSegment& segment : program.segments) {
    FillSegment(program, segment, coordinates, seed, 1, state.segments.emplace_back());
  }
  return state;
}

ir::StepPrograms WithAdaptersNotZero(ir::StepPrograms step) {
  for (ir::Program& program : step.classes) {
    if (std::ranges::none_of(program.segments, ir::IsFrozen)) continue;
    for (ir::ParameterSegment& segment : program.segments) {
      if (ir::IsFrozen(segment)) continue;  // what is trained beside frozen parameters are adapters
      for (ir::ParameterPiece& piece : segment.pieces) {
        if (piece.initialization != ir::Initialization::kZeros) continue;
        piece.initialization = ir::Initialization::kNormal;
        piece.standard_deviation = 1.0 / std::sqrt(3.0 * static_cast<double>(piece.global_shape.back()));
      }
    }
  }
  return step;
}

Status WriteInitialState(const ir::Program& program, int64_t rank, uint64_t seed, int64_t threads, const std::function<void()>& beat,
                         runtime::Interpreter& interpreter) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  std::vector<float> values;
  for (const ir::ParameterSegment& segment : program.segments) {
    if (beat) beat();
    FillSegment(program, segment, coordinates, seed, threads, values);
    if (beat) beat();
    const ElementRange own = OwnRange(segment, program.mesh, coordinates);  // what the rank's master copy holds
    const std::span<const float> all(values);
    const auto master = all.subspan(static_cast<size_t>(own.begin), static_cast<size_t>(own.end - own.begin));
    HELM_RETURN_IF_ERROR(WriteInParts(program, segment.master, master, interpreter));
    if (segment.master != segment.parameter) HELM_RETURN_IF_ERROR(WriteInParts(program, segment.parameter, all, interpreter));
  }
  return OkStatus();
}

Result<std::vector<float>> ReadWidened(const ir::Program& program, ir::StorageId storage, const runtime::Interpreter& interpreter) {
  return interpreter.ReadFloats(storage, TypeOf(program, storage));
}

Result<RankState> ReadParameters(const ir::Program& program, int64_t rank, const runtime::Interpreter& interpreter) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  RankState state;
  for (const ir::ParameterSegment& segment : program.segments) {
    const ElementRange own = OwnRange(segment, program.mesh, coordinates);
    HELM_ASSIGN_OR_RETURN(std::vector<float> values, ReadWidened(program, segment.master, interpreter));
    values.resize(static_cast<size_t>(own.end - own.begin));  // a storage may be longer (alignment)
    state.segments.push_back(Placed(segment, own, values));
  }
  return state;
}

Result<RankState> ReadGradients(const ir::Program& program, int64_t rank, const runtime::Interpreter& interpreter) {
  const std::vector<int64_t> coordinates = ir::Coordinates(program.mesh, rank);
  RankState state;
  for (const ir::ParameterSegment& segment : program.segments) {
    if (ir::IsFrozen(segment)) {
      state.segments.emplace_back();
      continue;
    }
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
