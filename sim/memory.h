// TrackMemory: how many bytes are live after each launch, by the lifetimes of ir/lifetime.h, and where the peak is.
//
// Launch order, not time: PyTorch's allocators hand out and take back memory when the host thread launches, whenever the device runs
// (techniques.md 7.7). Counts what allocators count as allocated: on a CPU the bytes asked for, on a GPU rounded up to blocks of 512 bytes.
// Not fragmentation, not what lies outside the allocator.
//
// Invariant: after the last op, what is live is what was resident before the first, and the storages of outputs.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include "core/status.h"
#include "ir/lifetime.h"
#include "ir/program.h"
#include "ir/timeline.h"
#include "sim/simulate.h"
#include "sim/task_costs.h"

namespace helm::sim {

using BytesByRole = std::array<int64_t, ir::kStorageRoles>;
inline int64_t Sum(const BytesByRole& bytes) { return std::accumulate(bytes.begin(), bytes.end(), int64_t{0}); }

struct MemoryProfile {
  MemoryPeak peak;
  BytesByRole resident{};               // before the step: the persistent storages
  std::vector<BytesByRole> live_at_op;  // with the op's results, before anything is freed after it; workspace counts as activation
};

// What an allocator takes for a storage.
int64_t AllocatedBytes(const ir::Program& program, ir::StorageId storage);

// What consecutive ops do to the live bytes, whatever is live before them.
struct MemoryChange {
  BytesByRole after{};     // more (or less) than before
  int64_t peak_bytes = 0;  // above what is live before them, workspace included
  BytesByRole at_peak{};   // likewise, without workspace
  int64_t workspace = 0;   // at the peak
  bool empty = true;       // no op

  // These ops, then those.
  void Append(const MemoryChange& next);
  bool operator==(const MemoryChange&) const = default;
};
// Of the ops [first, end).
MemoryChange ChangeOver(const ir::Program& program, const ir::Lifetimes& lifetimes, const TaskCosts& costs, size_t first, size_t end);

// Live before the first op; live behind the last one: that and the outputs.
BytesByRole ResidentBytes(const ir::Program& program);
BytesByRole LiveAfterStep(const ir::Program& program);

// REQUIRES: Verify(program) is ok. `live_at_op` is left empty unless `record`.
Result<MemoryProfile> TrackMemory(const ir::Program& program, const TaskCosts& costs, bool record);

}  // namespace helm::sim
