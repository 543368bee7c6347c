// ProgramMaker: writes small programs by hand, contiguous tensors only unless said otherwise. For tests of runtime/.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ir/program.h"

namespace helm::runtime::test {

class ProgramMaker {
 public:
  ir::Program program;

  explicit ProgramMaker(std::vector<ir::MeshDimension> mesh = {{"data", 1}}) {
    program.name = "test";
    program.mesh = std::move(mesh);
    for (const ir::MeshDimension& dimension : program.mesh) program.groups.push_back({dimension.name, {dimension.name}});
  }

  ir::StorageId Storage(const std::string& name, int64_t bytes, bool persistent) {
    program.storages.push_back({name, Bytes(bytes), persistent ? ir::StorageRole::kParameter : ir::StorageRole::kActivation, persistent});
    return ir::StorageId(program.storages.size() - 1);
  }

  // A tensor on a persistent storage of its own.
  ir::TensorId Persistent(const std::string& name, const ir::Shape& shape, ir::DataType dtype = ir::DataType::kFloat32) {
    const ir::StorageId storage = Storage(name, ir::ElementCount(shape) * ir::ElementBytes(dtype), true);
    return Add({name, dtype, shape, ir::ContiguousStrides(shape), 0, storage, ir::OpId()});
  }

  // The coming op's result on a new storage.
  ir::TensorId Fresh(const std::string& name, const ir::Shape& shape, ir::DataType dtype = ir::DataType::kFloat32) {
    const ir::StorageId storage = Storage(name, ir::ElementCount(shape) * ir::ElementBytes(dtype), false);
    return Add({name, dtype, shape, ir::ContiguousStrides(shape), 0, storage, ir::OpId(program.ops.size())});
  }

  // The coming op's result on the storage of `of`: a view or a new version.
  ir::TensorId On(ir::TensorId of, const std::string& name, const ir::Shape& shape, const ir::Shape& strides, int64_t offset = 0) {
    const ir::Tensor base = program.tensor(of);
    return Add({name, base.dtype, shape, strides, offset, base.storage, ir::OpId(program.ops.size())});
  }
  ir::TensorId Version(ir::TensorId of, const std::string& name) {
    const ir::Tensor base = program.tensor(of);
    return On(of, name, base.shape, base.strides, base.offset);
  }

  ir::OpId Op(const std::string& target, std::vector<ir::Argument> arguments, std::vector<ir::TensorId> results,
              ir::OpKind kind = ir::OpKind::kCompute) {
    ir::Op op;
    op.kind = kind;
    op.target = target;
    op.arguments = std::move(arguments);
    op.results = std::move(results);
    program.ops.push_back(std::move(op));
    return ir::OpId(program.ops.size() - 1);
  }

  ir::OpId Collective(const std::string& target, size_t group, std::vector<ir::Argument> arguments, std::vector<ir::TensorId> results) {
    const ir::OpId id = Op(target, std::move(arguments), std::move(results), ir::OpKind::kCollectiveStart);
    program.ops.back().group = ir::GroupId(group);
    return id;
  }

  ir::OpId Wait(ir::OpId start) {
    const ir::GroupId group = program.op(start).group;
    const ir::OpId id = Op("c10d.wait", {start}, {}, ir::OpKind::kWait);
    program.ops.back().group = group;
    return id;
  }

 private:
  ir::TensorId Add(ir::Tensor tensor) {
    program.tensors.push_back(std::move(tensor));
    return ir::TensorId(program.tensors.size() - 1);
  }
};

}  // namespace helm::runtime::test
