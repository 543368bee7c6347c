// Verify, the parts that do not depend on the order of the ops: ids, names, mesh, storages, segments, ports.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ir/frozen.h"
#include "ir/verify_checks.h"

namespace helm::ir {
namespace {

template <typename Tag, typename T>
bool InRange(Id<Tag> id, const std::vector<T>& array) {
  return id.valid() && id.index() < array.size();
}

void CheckIdsOfOp(const Program& program, size_t index, Problems& problems) {
  const Op& op = program.ops[index];
  const OpId id(index);
  for (const TensorId tensor : TensorArguments(op)) {
    if (!InRange(tensor, program.tensors))
      problems.Add(id, fmt::format("argument names tensor {}, of {}", tensor.value, program.tensors.size()));
  }
  for (const TensorId tensor : op.results) {
    if (tensor.valid() && !InRange(tensor, program.tensors)) {
      problems.Add(id, fmt::format("result names tensor {}, of {}", tensor.value, program.tensors.size()));
    }
  }
  if (op.group.valid() && !InRange(op.group, program.groups))
    problems.Add(id, fmt::format("names group {}, of {}", op.group.value, program.groups.size()));
  for (const Argument& argument : op.arguments) {
    const auto* start = std::get_if<OpId>(&argument);
    if (start != nullptr && !InRange(*start, program.ops))
      problems.Add(id, fmt::format("names op {}, of {}", start->value, program.ops.size()));
  }
}

void CheckIdsOfSegment(const Program& program, const ParameterSegment& segment, Problems& problems) {
  for (const StorageId storage : {segment.parameter, segment.gradient, segment.master, segment.moment_first, segment.moment_second}) {
    if (!storage.valid() && IsFrozen(segment) && segment.parameter.valid()) continue;
    if (!InRange(storage, program.storages))
      problems.Add(fmt::format("segment '{}' names storage {}, of {}", segment.name, storage.value, program.storages.size()));
  }
}

template <typename Items, typename NameOf>
void CheckUnique(const Items& items, std::string_view what, NameOf name_of, Problems& problems) {
  std::set<std::string> seen;
  for (const auto& item : items) {
    const std::string& name = name_of(item);
    if (name.empty())
      problems.Add(fmt::format("a {} has no name", what));
    else if (!seen.insert(name).second)
      problems.Add(fmt::format("two {}s are named '{}'", what, name));
  }
}

bool HasDimension(const Program& program, const std::string& name) {
  return std::ranges::find(program.mesh, name, &MeshDimension::name) != program.mesh.end();
}

std::string MeshText(const Program& program) {
  std::vector<std::string> names;
  for (const MeshDimension& dimension : program.mesh) names.push_back(dimension.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

void CheckExpression(const Program& program, const RankExpression& expression, const std::string& where, Problems& problems) {
  for (const RankTerm& term : expression.terms) {
    if (!HasDimension(program, term.dimension)) {
      problems.Add(fmt::format("{}: '{}' is no dimension of the mesh ({})", where, term.dimension, MeshText(program)));
    }
  }
}

void CheckTensor(const Program& program, TensorId id, Problems& problems) {
  const Tensor& tensor = program.tensor(id);
  const std::string name = TensorText(program, id);
  const bool negative = std::ranges::any_of(tensor.shape, [](int64_t size) { return size < 0; }) ||
                        std::ranges::any_of(tensor.strides, [](int64_t stride) { return stride < 0; });
  if (tensor.shape.size() != tensor.strides.size()) {
    problems.Add(fmt::format("{} has {} sizes and {} strides", name, tensor.shape.size(), tensor.strides.size()));
  } else if (negative || tensor.offset < 0) {
    problems.Add(fmt::format("{} has a negative size, stride or offset", name));
  } else if (const int64_t end = ExtentOf(tensor).end; end > program.storage(tensor.storage).bytes.count()) {
    problems.Add(fmt::format("{} ends at byte {} of {}, which has {} bytes", name, end, StorageText(program, tensor.storage),
                             program.storage(tensor.storage).bytes.count()));
  }
}

void CheckPiece(const Program& program, const ParameterSegment& segment, const ParameterPiece& piece, Problems& problems) {
  const std::string where = fmt::format("segment '{}', piece '{}'", segment.name, piece.name);
  if (piece.box_shape.size() != piece.global_shape.size() || piece.box_offset.size() != piece.global_shape.size()) {
    problems.Add(fmt::format("{}: {} dimensions, but a box of {} sizes at {} offsets", where, piece.global_shape.size(),
                             piece.box_shape.size(), piece.box_offset.size()));
  }
  if (piece.offset < 0 || piece.offset + ElementCount(piece.box_shape) > segment.elements) {
    problems.Add(fmt::format("{}: elements {} to {} of a segment of {}", where, piece.offset, piece.offset + ElementCount(piece.box_shape),
                             segment.elements));
  }
  for (const RankExpression& offset : piece.box_offset) CheckExpression(program, offset, where, problems);
}

void CheckOverlaps(const ParameterSegment& segment, Problems& problems) {
  std::vector<const ParameterPiece*> pieces;
  for (const ParameterPiece& piece : segment.pieces) pieces.push_back(&piece);
  std::ranges::stable_sort(pieces, {}, [](const ParameterPiece* piece) { return piece->offset; });
  for (size_t i = 1; i < pieces.size(); ++i) {
    if (pieces[i - 1]->offset + ElementCount(pieces[i - 1]->box_shape) <= pieces[i]->offset) continue;
    problems.Add(fmt::format("segment '{}': pieces '{}' and '{}' overlap", segment.name, pieces[i - 1]->name, pieces[i]->name));
  }
}

void CheckCoordinates(const Program& program, const Group& group, Problems& problems) {
  if (group.coordinates.empty()) return;
  if (group.dimensions.size() != 1 || !HasDimension(program, group.dimensions[0])) {
    return problems.Add(fmt::format("group '{}' lists coordinates, so it needs just one mesh dimension", group.name));
  }
  const int64_t size = std::ranges::find(program.mesh, group.dimensions[0], &MeshDimension::name)->size;
  const bool ascending = std::ranges::adjacent_find(group.coordinates, std::ranges::greater_equal()) == group.coordinates.end();
  if (!ascending || group.coordinates.back() >= size) {
    problems.Add(fmt::format("group '{}': the coordinates [{}] must ascend and be less than {}", group.name,
                             fmt::join(group.coordinates, ", "), size));
  }
}

int64_t ShardsOf(const Program& program, const ParameterSegment& segment) {
  return PlaceAlong(program.mesh, Coordinates(program.mesh, 0), segment.sharded_over).ranks;
}

void CheckShards(const Program& program, const ParameterSegment& segment, Problems& problems) {
  if (segment.sharded_over.empty()) {
    if (segment.gradient_sharded) problems.Add(fmt::format("segment '{}': its gradient is sharded, but over no dimension", segment.name));
    return;
  }
  for (const std::string& name : segment.sharded_over) {
    if (HasDimension(program, name)) continue;
    problems.Add(fmt::format("segment '{}': '{}' is no dimension of the mesh ({})", segment.name, name, MeshText(program)));
  }
  if (segment.elements % ShardsOf(program, segment) != 0) {
    problems.Add(
        fmt::format("segment '{}': {} elements are not {} equal shards", segment.name, segment.elements, ShardsOf(program, segment)));
  }
}

// Master weights and moments are fp32, gradients at least two bytes wide; the width of the parameters is that of the compute dtype.
void CheckSegmentStorages(const Program& program, const ParameterSegment& segment, Problems& problems) {
  struct Part {
    const char* name;
    StorageId storage;
    int64_t elements;
    bool persistent = true;
  };
  constexpr int64_t kElementBytesLeast = 2;  // of the narrowest type in which gradients and optimizer state are kept
  const int64_t own = segment.elements / ShardsOf(program, segment);
  const int64_t gradient = segment.gradient_offset + (segment.gradient_sharded ? own : segment.elements);
  for (const auto& [name, storage, elements, persistent] :
       {Part{"gradient", segment.gradient, gradient, !segment.gradient_sharded}, Part{"master", segment.master, own},
        Part{"moment_first", segment.moment_first, own}, Part{"moment_second", segment.moment_second, own}}) {
    if (!storage.valid()) continue;  // of a frozen segment
    const int64_t needed = elements * kElementBytesLeast;
    if (program.storage(storage).bytes.count() < needed) {
      problems.Add(fmt::format("segment '{}': {} storage {} has {} bytes, needs {}", segment.name, name, StorageText(program, storage),
                               program.storage(storage).bytes.count(), needed));
    }
    if (persistent && !program.storage(storage).persistent) {
      problems.Add(fmt::format("segment '{}': {} storage {} is not persistent", segment.name, name, StorageText(program, storage)));
    }
  }
}

}  // namespace

void CheckIds(const Program& program, Problems& problems) {
  for (const Tensor& tensor : program.tensors) {
    if (!InRange(tensor.storage, program.storages))
      problems.Add(fmt::format("%{} names storage {}, of {}", tensor.name, tensor.storage.value, program.storages.size()));
    if (tensor.producer.valid() && !InRange(tensor.producer, program.ops))
      problems.Add(fmt::format("%{} names producer {}, of {} ops", tensor.name, tensor.producer.value, program.ops.size()));
  }
  for (size_t i = 0; i < program.ops.size(); ++i) CheckIdsOfOp(program, i, problems);
  for (const auto* ports : {&program.inputs, &program.outputs}) {
    for (const auto& [name, tensor] : *ports) {
      if (!InRange(tensor, program.tensors))
        problems.Add(fmt::format("input or output '{}' names tensor {}, of {}", name, tensor.value, program.tensors.size()));
    }
  }
  for (const ParameterSegment& segment : program.segments) CheckIdsOfSegment(program, segment, problems);
}

void CheckNames(const Program& program, Problems& problems) {
  CheckUnique(program.tensors, "tensor", [](const Tensor& tensor) { return tensor.name; }, problems);
  CheckUnique(program.storages, "storage", [](const Storage& storage) { return storage.name; }, problems);
  CheckUnique(program.groups, "group", [](const Group& group) { return group.name; }, problems);
  CheckUnique(program.mesh, "mesh dimension", [](const MeshDimension& dimension) { return dimension.name; }, problems);
  CheckUnique(program.segments, "segment", [](const ParameterSegment& segment) { return segment.name; }, problems);
}

void CheckMeshAndGroups(const Program& program, Problems& problems) {
  for (const MeshDimension& dimension : program.mesh) {
    if (dimension.size < 1) problems.Add(fmt::format("mesh dimension '{}' has size {}", dimension.name, dimension.size));
  }
  for (const Group& group : program.groups) {
    std::set<std::string> seen;
    for (const std::string& name : group.dimensions) {
      if (!HasDimension(program, name))
        problems.Add(fmt::format("group '{}': '{}' is no dimension of the mesh ({})", group.name, name, MeshText(program)));
      if (!seen.insert(name).second) problems.Add(fmt::format("group '{}' names dimension '{}' twice", group.name, name));
    }
    CheckCoordinates(program, group, problems);
  }
  for (size_t i = 0; i < program.ops.size(); ++i) {
    for (const Argument& argument : program.ops[i].arguments) {
      const auto* expression = std::get_if<RankExpression>(&argument);
      if (expression != nullptr) CheckExpression(program, *expression, Describe(program, OpId(i)), problems);
    }
  }
}

void CheckTensors(const Program& program, Problems& problems) {
  for (size_t i = 0; i < program.tensors.size(); ++i) CheckTensor(program, TensorId(i), problems);
}

void CheckSegments(const Program& program, Problems& problems) {
  for (const ParameterSegment& segment : program.segments) {
    CheckShards(program, segment, problems);
    CheckSegmentStorages(program, segment, problems);
    for (const ParameterPiece& piece : segment.pieces) CheckPiece(program, segment, piece, problems);
    CheckOverlaps(segment, problems);
  }
}

void CheckPorts(const Program& program, Problems& problems) {
  for (const auto& [name, id] : program.inputs) {
    const Tensor& tensor = program.tensor(id);
    if (tensor.producer.valid()) problems.Add(fmt::format("input '{}': {} is produced by an op", name, TensorText(program, id)));
    if (!program.storage(tensor.storage).persistent)
      problems.Add(fmt::format("input '{}': {} is not persistent", name, TensorText(program, id)));
  }
}

}  // namespace helm::ir
