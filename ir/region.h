// Regions: runs of ops that a framework launches as one fused kernel (Op::region): bias + GELU, scale + mask + softmax.
//
// The ops say what the kernel computes, so that an executor without such a kernel runs them one by one. Priced as one kernel, a region
// costs what enters and leaves it: the tensors that it reads and did not make, and what it wrote that somebody needs behind it. A storage
// that only one region uses lies in registers: it is never allocated. A product that adds to a wider matrix (mm, bmm or
// _scaled_mm, then add_ or copy_) is priced as that product, `aten.addmm` or `aten.baddbmm` with operands of two types.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "ir/program.h"
#include "ir/signature.h"

namespace helm::ir {

// By storage: not persistent, no output, and used by the ops of one region alone.
std::vector<bool> StoragesInsideRegions(const Program& program);

// The regions of a program, found once. Keeps a reference to it.
class Regions {
 public:
  explicit Regions(const Program& program);

  // The first compute op of a region stands for all of it.
  bool IsLeader(size_t op) const { return leader_[op]; }
  // In a region that another op stands for.
  bool IsFollower(size_t op) const { return program_.ops[op].region >= 0 && !leader_[op]; }

  // `helm.region([read, ...], [written, ...])`, unless it is a product that adds: one tensor for each storage and window. REQUIRES:
  // IsLeader(op).
  OpSignature SignatureOf(size_t leader) const;

 private:
  // Of a region [leader, end) that is a product that adds.
  std::optional<OpSignature> AddingProduct(size_t leader, size_t end) const;
  size_t BeginOf(size_t op) const;
  size_t EndOf(size_t op) const;

  const Program& program_;
  std::vector<bool> leader_;      // by op
  std::vector<size_t> last_use_;  // by storage: the last op that reads it; SIZE_MAX when it outlives the step
};

}  // namespace helm::ir
