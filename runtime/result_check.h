// ResultChecker: compares what ATen returns with what the program says: dtype, shape, strides, offset, size of fresh storages, and which
// tensors share memory. The simulator's memory and the cost tables rest on these, so a difference is an error, found on the first step.
// Internal to runtime/.
#pragma once

#include <map>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/status.h"
#include "ir/lifetime.h"
#include "ir/program.h"

namespace helm::runtime {

class ResultChecker {
 public:
  explicit ResultChecker(const ir::Program& program);

  // A tensor that exists before the step.
  void Bind(ir::TensorId id, const at::Tensor& tensor);
  Status Check(ir::TensorId id, const at::Tensor& tensor);
  // After the op's tensors have been let go.
  void EndOp(ir::OpId op);

 private:
  const ir::Program& program_;
  ir::Lifetimes lifetimes_;
  std::vector<const void*> memory_of_storage_;  // by storage id: c10's storage object; null before it is allocated
  std::map<const void*, ir::StorageId> live_storages_;
};

}  // namespace helm::runtime
