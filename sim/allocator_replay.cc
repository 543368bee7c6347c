#include "sim/allocator_replay.h"

#include <optional>

#include <fmt/format.h>

#include "core/check.h"
#include "ir/lifetime.h"

namespace helm::sim {
namespace {

class Replay {
 public:
  Replay(const ir::Program& program, const TaskCosts& costs, const AllocatorReplayOptions& options)
      : program_(program),
        costs_(costs),
        options_(options),
        lifetimes_(ir::ComputeLifetimes(program)),
        allocator_(options.allocator),
        handles_(program.storages.size()) {}

  Status AllocatePersistent() {
    if (options_.library_workspace.count() > 0) {
      const auto handle = allocator_.Allocate(options_.library_workspace);
      if (!handle.ok()) return UnavailableError(fmt::format("workspace of a library: {}", handle.status().message()));
    }
    for (size_t s = 0; s < program_.storages.size(); ++s) {
      if (program_.storages[s].persistent && !IsLazy(s)) HELM_RETURN_IF_ERROR(Allocate(s, "before the first step"));
    }
    return OkStatus();
  }

  Status Step(int64_t step) {
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      const std::string where = fmt::format("step {}, op #{}", step, i);
      HELM_RETURN_IF_ERROR(AllocateLazy(program_.ops[i], where));
      for (const ir::StorageId storage : lifetimes_.allocated_by[i]) HELM_RETURN_IF_ERROR(Allocate(storage.index(), where));
      if (const Bytes workspace = costs_.ops[i].workspace; workspace.count() > 0) {
        const auto handle = allocator_.Allocate(workspace);
        if (!handle.ok()) return UnavailableError(fmt::format("{}: {}", where, handle.status().message()));
        allocator_.Free(*handle);
      }
      for (const ir::StorageId storage : lifetimes_.freed_after[i]) Free(storage.index());
    }
    for (size_t s = 0; s < handles_.size(); ++s) {
      if (!program_.storages[s].persistent) Free(s);
    }
    return OkStatus();
  }

  const AllocatorUsage& usage() const { return allocator_.usage(); }

 private:
  bool IsLazy(size_t storage) const {
    return options_.lazy_optimizer_state && program_.storages[storage].role == ir::StorageRole::kOptimizerState;
  }

  Status AllocateLazy(const ir::Op& op, const std::string& where) {
    for (const ir::TensorId tensor : ir::TensorArguments(op)) {
      const size_t storage = program_.tensor(tensor).storage.index();
      if (program_.storages[storage].persistent && !handles_[storage]) HELM_RETURN_IF_ERROR(Allocate(storage, where));
    }
    return OkStatus();
  }

  Status Allocate(size_t storage, const std::string& where) {
    const Bytes bytes = program_.storages[storage].bytes;
    if (bytes.count() == 0 || handles_[storage]) return OkStatus();
    const auto handle = allocator_.Allocate(bytes);
    if (!handle.ok()) {
      return UnavailableError(fmt::format("{}, storage '{}': {}", where, program_.storages[storage].name, handle.status().message()));
    }
    handles_[storage] = *handle;
    return OkStatus();
  }

  void Free(size_t storage) {
    if (!handles_[storage]) return;
    allocator_.Free(*handles_[storage]);
    handles_[storage].reset();
  }

  const ir::Program& program_;
  const TaskCosts& costs_;
  const AllocatorReplayOptions options_;
  const ir::Lifetimes lifetimes_;
  CachingAllocator allocator_;
  std::vector<std::optional<CachingAllocator::Handle>> handles_;  // by storage
};

}  // namespace

Result<std::vector<AllocatorUsage>> ReplayAllocator(const ir::Program& program, const TaskCosts& costs,
                                                    const AllocatorReplayOptions& options) {
  HELM_CHECK(options.steps >= 1, "a replay has a step");
  HELM_CHECK(program.device == ir::DeviceKind::kCuda, "the caching allocator is of CUDA");
  Replay replay(program, costs, options);
  HELM_RETURN_IF_ERROR(replay.AllocatePersistent());
  std::vector<AllocatorUsage> usage;
  for (int64_t step = 0; step < options.steps; ++step) {
    HELM_RETURN_IF_ERROR(replay.Step(step));
    usage.push_back(replay.usage());
  }
  return usage;
}

}  // namespace helm::sim
