#include "ir/program.h"

#include <algorithm>

#include "core/check.h"

namespace helm::ir {

std::string_view Name(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::kCpu:
      return "cpu";
    case DeviceKind::kCuda:
      return "cuda";
  }
  return "unknown";
}

std::string_view Name(Phase phase) {
  switch (phase) {
    case Phase::kForward:
      return "forward";
    case Phase::kInputGradient:
      return "input_gradient";
    case Phase::kWeightGradient:
      return "weight_gradient";
    case Phase::kRecompute:
      return "recompute";
    case Phase::kOptimizer:
      return "optimizer";
  }
  return "unknown";
}

std::string_view Name(StorageRole role) {
  switch (role) {
    case StorageRole::kParameter:
      return "parameter";
    case StorageRole::kGradient:
      return "gradient";
    case StorageRole::kOptimizerState:
      return "optimizer_state";
    case StorageRole::kActivation:
      return "activation";
    case StorageRole::kInput:
      return "input";
    case StorageRole::kCommunicationBuffer:
      return "communication_buffer";
  }
  return "unknown";
}

std::string_view Name(OpKind kind) {
  switch (kind) {
    case OpKind::kCompute:
      return "compute";
    case OpKind::kView:
      return "view";
    case OpKind::kCollectiveStart:
      return "collective";
    case OpKind::kWait:
      return "wait";
  }
  return "unknown";
}

std::string_view Name(Initialization initialization) {
  switch (initialization) {
    case Initialization::kNormal:
      return "normal";
    case Initialization::kZeros:
      return "zeros";
    case Initialization::kOnes:
      return "ones";
  }
  return "unknown";
}

std::string Describe(const Program& program, OpId id) {
  const Op& op = program.op(id);
  std::string text = "#" + std::to_string(id.value) + " " + op.target;
  if (!op.label.empty()) text += " '" + op.label + "'";
  if (op.layer >= 0) text += " layer " + std::to_string(op.layer);
  if (op.micro_batch >= 0) text += " micro-batch " + std::to_string(op.micro_batch);
  return text;
}

Shape ContiguousStrides(const Shape& shape) {
  Shape strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<int64_t>(shape[i], 1);  // as ATen: a dimension of size 0 counts as 1
  }
  return strides;
}

int64_t ElementCount(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

Bytes TensorBytes(const Tensor& tensor) { return Bytes(ElementCount(tensor.shape) * ElementBytes(tensor.dtype)); }

Extent ExtentOf(const Tensor& tensor) {
  const int64_t element = ElementBytes(tensor.dtype);
  const int64_t begin = tensor.offset * element;
  if (ElementCount(tensor.shape) == 0) return {begin, begin};
  int64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size() && i < tensor.strides.size(); ++i) last += (tensor.shape[i] - 1) * tensor.strides[i];
  return {begin, (last + 1) * element};
}

bool IsContiguous(const Tensor& tensor) { return tensor.strides == ContiguousStrides(tensor.shape); }

std::vector<TensorId> TensorArguments(const Op& op) {
  std::vector<TensorId> tensors;
  tensors.reserve(op.arguments.size());
  for (const Argument& argument : op.arguments) {
    if (const auto* tensor = std::get_if<TensorId>(&argument)) tensors.push_back(*tensor);
    if (const auto* list = std::get_if<std::vector<TensorId>>(&argument)) tensors.insert(tensors.end(), list->begin(), list->end());
  }
  return tensors;
}

std::vector<TensorId> WrittenTensors(const Program& program, const Op& op) {
  if (op.kind == OpKind::kView || op.kind == OpKind::kWait) return {};
  const std::vector<TensorId> arguments = TensorArguments(op);
  std::vector<TensorId> written;
  for (const TensorId result : op.results) {
    if (!result.valid()) continue;
    const StorageId storage = program.tensor(result).storage;
    const bool in_place = std::ranges::any_of(arguments, [&](TensorId argument) { return program.tensor(argument).storage == storage; });
    if (in_place) written.push_back(result);
  }
  return written;
}

OpId StartOf(const Op& wait) {
  if (wait.arguments.empty()) return OpId();
  const auto* start = std::get_if<OpId>(&wait.arguments.front());
  return start == nullptr ? OpId() : *start;
}

int64_t WorldSize(const std::vector<MeshDimension>& mesh) {
  int64_t size = 1;
  for (const MeshDimension& dimension : mesh) size *= dimension.size;
  return size;
}

RankPlace PlaceAlong(const std::vector<MeshDimension>& mesh, const std::vector<int64_t>& coordinates,
                     const std::vector<std::string>& dimensions) {
  RankPlace along;
  for (size_t i = 0; i < mesh.size(); ++i) {
    if (std::ranges::find(dimensions, mesh[i].name) == dimensions.end()) continue;
    along.place += coordinates[i] * along.ranks;
    along.ranks *= mesh[i].size;
  }
  return along;
}

bool IsPointToPoint(const Op& op) { return op.target == "c10d.send" || op.target == "c10d.recv"; }

int64_t PeerOffset(const Program& program, const Op& op) {
  const size_t place = op.target == "c10d.send" ? 1 : 0;
  const auto* offset = place < op.arguments.size() ? std::get_if<int64_t>(&op.arguments[place]) : nullptr;
  HELM_CHECK(offset != nullptr && op.group.valid(), "a point-to-point op names its peer");
  const int64_t size = GroupSize(program, op.group);
  return (*offset % size + size) % size;
}

int64_t TagOf(const Op& op) {
  const size_t place = op.target == "c10d.send" ? 2 : 1;
  const auto* tag = place < op.arguments.size() ? std::get_if<int64_t>(&op.arguments[place]) : nullptr;
  HELM_CHECK(tag != nullptr, "a point-to-point op has a tag");
  return *tag;
}

int64_t GroupSize(const Program& program, GroupId group) {
  if (!program.group(group).coordinates.empty()) return static_cast<int64_t>(program.group(group).coordinates.size());
  int64_t size = 1;
  for (const std::string& name : program.group(group).dimensions) {
    const auto dimension = std::ranges::find(program.mesh, name, &MeshDimension::name);
    HELM_CHECK(dimension != program.mesh.end(), "a group names a dimension that the mesh does not have");
    size *= dimension->size;
  }
  return size;
}

std::vector<int64_t> Coordinates(const std::vector<MeshDimension>& mesh, int64_t rank) {
  HELM_CHECK(rank >= 0 && rank < WorldSize(mesh), "the rank is outside the mesh");
  std::vector<int64_t> coordinates;
  for (const MeshDimension& dimension : mesh) {
    coordinates.push_back(rank % dimension.size);
    rank /= dimension.size;
  }
  return coordinates;
}

std::vector<int64_t> GroupMembers(const Program& program, GroupId group, int64_t rank) {
  return GroupMembers(program.mesh, program.group(group), rank);
}

std::vector<int64_t> GroupMembers(const std::vector<MeshDimension>& mesh, const Group& group, int64_t rank) {
  const std::vector<int64_t> own = Coordinates(mesh, rank);
  const std::vector<std::string>& dimensions = group.dimensions;
  const std::vector<int64_t>& only = group.coordinates;
  const auto differs = [&](size_t i) { return std::ranges::find(dimensions, mesh[i].name) != dimensions.end(); };
  const auto holds = [&](int64_t coordinate) { return only.empty() || std::ranges::find(only, coordinate) != only.end(); };

  // The group's ranks lie on a grid of strides in the rank number; extending by the slowest dimension last keeps them ascending.
  int64_t base = 0;
  int64_t stride = 1;
  std::vector<int64_t> offsets = {0};
  for (size_t i = 0; i < mesh.size(); ++i) {
    if (differs(i)) {
      if (!holds(own[i])) return {};
      std::vector<int64_t> extended;
      for (int64_t coordinate = 0; coordinate < mesh[i].size; ++coordinate) {
        if (!holds(coordinate)) continue;
        for (const int64_t offset : offsets) extended.push_back(offset + coordinate * stride);
      }
      offsets = std::move(extended);
    } else {
      base += own[i] * stride;
    }
    stride *= mesh[i].size;
  }
  for (int64_t& offset : offsets) offset += base;
  return offsets;
}

Bytes CollectiveBytes(const Program& program, const Op& op) {
  HELM_CHECK(op.kind == OpKind::kCollectiveStart, "only a collective has a price in bytes moved");
  const std::vector<TensorId> arguments = TensorArguments(op);
  const bool has_result = !op.results.empty() && op.results.front().valid();
  const bool by_result = op.target == "c10d.all_gather" || arguments.empty();
  HELM_CHECK(by_result ? has_result : true, "a collective without the tensor that it moves");
  return TensorBytes(program.tensor(by_result ? op.results.front() : arguments.front()));
}

}  // namespace helm::ir
