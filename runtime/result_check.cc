#include "runtime/result_check.h"

#include <sstream>

#include "runtime/tensors.h"

namespace helm::runtime {
namespace {

std::string Text(at::IntArrayRef numbers) {
  std::ostringstream out;
  out << numbers;
  return out.str();
}

// The stride of a dimension with fewer than two elements says nothing about memory.
bool SameStrides(const ir::Tensor& expected, at::IntArrayRef actual) {
  if (ir::ElementCount(expected.shape) == 0) return true;
  for (size_t i = 0; i < expected.shape.size(); ++i) {
    if (expected.shape[i] > 1 && expected.strides[i] != actual[i]) return false;
  }
  return true;
}

Status Differs(const ir::Tensor& expected, const std::string& what, const std::string& found, const std::string& program) {
  return InternalError("result '" + expected.name + "' has " + what + " " + found + "; the program says " + program);
}

Status CheckGeometry(const ir::Tensor& expected, const at::Tensor& tensor) {
  if (tensor.scalar_type() != ToScalarType(expected.dtype)) {
    return Differs(expected, "dtype", c10::toString(tensor.scalar_type()), std::string(ir::Name(expected.dtype)));
  }
  if (tensor.sizes() != at::IntArrayRef(expected.shape)) return Differs(expected, "shape", Text(tensor.sizes()), Text(expected.shape));
  if (!SameStrides(expected, tensor.strides())) return Differs(expected, "strides", Text(tensor.strides()), Text(expected.strides));
  if (tensor.storage_offset() != expected.offset) {
    return Differs(expected, "storage offset", std::to_string(tensor.storage_offset()), std::to_string(expected.offset));
  }
  return OkStatus();
}

}  // namespace

ResultChecker::ResultChecker(const ir::Program& program)
    : program_(program), lifetimes_(ir::ComputeLifetimes(program)), memory_of_storage_(program.storages.size(), nullptr) {}

void ResultChecker::Bind(ir::TensorId id, const at::Tensor& tensor) {
  const void* memory = tensor.storage().unsafeGetStorageImpl();
  const ir::StorageId storage = program_.tensor(id).storage;
  memory_of_storage_[storage.index()] = memory;
  live_storages_[memory] = storage;
}

Status ResultChecker::Check(ir::TensorId id, const at::Tensor& tensor) {
  const ir::Tensor& expected = program_.tensor(id);
  HELM_RETURN_IF_ERROR(CheckGeometry(expected, tensor));
  const ir::Storage& storage = program_.storage(expected.storage);
  const void* memory = tensor.storage().unsafeGetStorageImpl();
  const void*& known = memory_of_storage_[expected.storage.index()];
  if (known == memory) return OkStatus();
  if (known != nullptr)
    return InternalError("result '" + expected.name + "' has memory of its own; the program says it lies in '" + storage.name + "'");
  const auto shared = live_storages_.find(memory);
  if (shared != live_storages_.end()) {
    return InternalError("result '" + expected.name + "' shares memory with '" + program_.storage(shared->second).name +
                         "'; the program says it has its own, '" + storage.name + "'");
  }
  const auto bytes = static_cast<int64_t>(tensor.storage().nbytes());
  if (bytes != storage.bytes.count()) return Differs(expected, "bytes", std::to_string(bytes), std::to_string(storage.bytes.count()));
  known = memory;
  live_storages_[memory] = expected.storage;
  return OkStatus();
}

void ResultChecker::EndOp(ir::OpId op) {
  for (const ir::StorageId storage : lifetimes_.freed_after[op.index()]) {
    live_storages_.erase(memory_of_storage_[storage.index()]);
    memory_of_storage_[storage.index()] = nullptr;
  }
}

}  // namespace helm::runtime
