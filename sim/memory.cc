#include "sim/memory.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "ir/lifetime.h"

namespace helm::sim {
namespace {

constexpr size_t kLargestShown = 10;
constexpr int64_t kCudaBlockBytes = 512;  // kMinBlockSize of PyTorch's CUDACachingAllocator (techniques.md 9.1)

void Add(BytesByRole& bytes, const ir::Program& program, ir::StorageId storage, int64_t sign) {
  bytes[static_cast<size_t>(program.storage(storage).role)] += sign * AllocatedBytes(program, storage);
}

// The largest storages live when `op` has its results; ties by id.
std::vector<ir::StorageId> LargestLive(const ir::Program& program, const ir::Lifetimes& lifetimes, ir::OpId op) {
  std::vector<bool> live(program.storages.size());
  for (size_t s = 0; s < live.size(); ++s) live[s] = program.storages[s].persistent;
  for (size_t i = 0; op.valid() && i <= op.index(); ++i) {
    for (const ir::StorageId storage : lifetimes.allocated_by[i]) live[storage.index()] = true;
    if (i == op.index()) break;
    for (const ir::StorageId storage : lifetimes.freed_after[i]) live[storage.index()] = false;
  }
  std::vector<ir::StorageId> storages;
  for (size_t s = 0; s < live.size(); ++s) {
    if (live[s]) storages.push_back(ir::StorageId(s));
  }
  std::ranges::stable_sort(storages,
                           [&](ir::StorageId a, ir::StorageId b) { return AllocatedBytes(program, a) > AllocatedBytes(program, b); });
  storages.resize(std::min(storages.size(), kLargestShown));
  return storages;
}

}  // namespace

int64_t AllocatedBytes(const ir::Program& program, ir::StorageId storage) {
  const int64_t bytes = program.storage(storage).bytes.count();
  return program.device == ir::DeviceKind::kCuda ? (bytes + kCudaBlockBytes - 1) / kCudaBlockBytes * kCudaBlockBytes : bytes;
}

void MemoryChange::Append(const MemoryChange& next) {
  if (next.empty) return;
  const int64_t before = Sum(after);
  if (empty || before + next.peak_bytes > peak_bytes) {
    peak_bytes = before + next.peak_bytes;
    workspace = next.workspace;
    for (size_t role = 0; role < after.size(); ++role) at_peak[role] = after[role] + next.at_peak[role];
  }
  for (size_t role = 0; role < after.size(); ++role) after[role] += next.after[role];
  empty = false;
}

MemoryChange ChangeOver(const ir::Program& program, const ir::Lifetimes& lifetimes, const TaskCosts& costs, size_t first, size_t end) {
  MemoryChange change;
  for (size_t i = first; i < end; ++i) {
    for (const ir::StorageId storage : lifetimes.allocated_by[i]) Add(change.after, program, storage, 1);
    const int64_t workspace = costs.ops[i].workspace.count();
    const int64_t now = Sum(change.after) + workspace;
    if (i == first || now > change.peak_bytes) {
      change.peak_bytes = now;
      change.at_peak = change.after;
      change.workspace = workspace;
    }
    for (const ir::StorageId storage : lifetimes.freed_after[i]) Add(change.after, program, storage, -1);
    change.empty = false;
  }
  return change;
}

BytesByRole ResidentBytes(const ir::Program& program) {
  BytesByRole bytes{};
  for (size_t s = 0; s < program.storages.size(); ++s) {
    if (program.storages[s].persistent) Add(bytes, program, ir::StorageId(s), 1);
  }
  return bytes;
}

BytesByRole LiveAfterStep(const ir::Program& program) {
  BytesByRole bytes = ResidentBytes(program);
  std::set<ir::StorageId> kept;
  for (const auto& [name, tensor] : program.outputs) kept.insert(program.tensor(tensor).storage);
  for (const ir::StorageId storage : kept) {
    if (!program.storage(storage).persistent) Add(bytes, program, storage, 1);
  }
  return bytes;
}

Result<MemoryProfile> TrackMemory(const ir::Program& program, const TaskCosts& costs, bool record) {
  const ir::Lifetimes lifetimes = ir::ComputeLifetimes(program);
  MemoryProfile profile;
  profile.resident = ResidentBytes(program);
  BytesByRole live = profile.resident;
  profile.peak.bytes = Bytes(Sum(live));
  profile.peak.by_role = live;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    for (const ir::StorageId storage : lifetimes.allocated_by[i]) Add(live, program, storage, 1);
    const Bytes workspace = costs.ops[i].workspace;
    if (const Bytes now = Bytes(Sum(live)) + workspace; now > profile.peak.bytes) {
      profile.peak = {now, ir::OpId(i), live, workspace, {}};
    }
    if (record) {
      profile.live_at_op.push_back(live);
      profile.live_at_op.back()[static_cast<size_t>(ir::StorageRole::kActivation)] += workspace.count();
    }
    for (const ir::StorageId storage : lifetimes.freed_after[i]) Add(live, program, storage, -1);
  }
  if (const BytesByRole expected = LiveAfterStep(program); live != expected) {
    return InternalError(
        fmt::format("simulation of '{}': {} bytes are live after the step, {} are resident", program.name, Sum(live), Sum(expected)));
  }
  profile.peak.live_largest = LargestLive(program, lifetimes, profile.peak.op);
  return profile;
}

}  // namespace helm::sim
