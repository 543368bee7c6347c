// What a lowered training step keeps for backward: for tests that hold it against a formula.
#pragma once

#include <cstdint>

#include "ir/lifetime.h"
#include "ir/program.h"

namespace helm::test {

// Live when the head begins, beyond persistent storages. REQUIRES: the program has ops labelled "head".
inline int64_t BytesKept(const ir::Program& program) {
  const ir::Lifetimes lifetimes = ComputeLifetimes(program);
  int64_t bytes = 0;
  for (size_t i = 0; program.ops[i].label != "head"; ++i) {
    for (const ir::StorageId id : lifetimes.allocated_by[i]) bytes += program.storage(id).bytes.count();
    for (const ir::StorageId id : lifetimes.freed_after[i]) bytes -= program.storage(id).bytes.count();
  }
  return bytes;
}

}  // namespace helm::test
