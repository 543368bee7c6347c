#include "sim/allocator_replay.h"

#include <optional>
#include <string>

#include <fmt/format.h>

#include "core/check.h"

namespace helm::sim {
namespace {

class Replay {
 public:
  Replay(const AllocationTrace& trace, const AllocatorReplayOptions& options)
      : trace_(trace), options_(options), allocator_(options.allocator), handles_(trace.buffers.size()) {}

  Status AllocatePersistent() {
    if (options_.library_workspace.count() > 0) {
      const auto handle = allocator_.Allocate(options_.library_workspace);
      if (!handle.ok()) return UnavailableError(fmt::format("workspace of a library: {}", handle.status().message()));
    }
    for (size_t b = 0; b < handles_.size(); ++b) {
      const AllocationTrace::Buffer& buffer = trace_.buffers[b];
      const bool lazy = options_.lazy_optimizer_state && buffer.optimizer_state;
      if (!buffer.persistent || lazy) continue;
      if (const Status status = Allocate(b); !status.ok()) {
        return UnavailableError(fmt::format("before the first step, storage '{}': {}", buffer.name, status.message()));
      }
    }
    return OkStatus();
  }

  Status Step(int64_t step) {
    for (const AllocationTrace::Call& call : trace_.calls) {
      if (call.kind == AllocationTrace::Kind::kFree) {
        Free(static_cast<size_t>(call.what));
      } else if (const Status status = Take(call); !status.ok()) {
        const bool named = call.kind == AllocationTrace::Kind::kAllocate;
        const std::string name = named ? fmt::format(", storage '{}'", trace_.buffers[static_cast<size_t>(call.what)].name) : "";
        return UnavailableError(fmt::format("step {}, op #{}{}: {}", step, call.op, name, status.message()));
      }
    }
    for (size_t b = 0; b < handles_.size(); ++b) {
      if (!trace_.buffers[b].persistent) Free(b);
    }
    return OkStatus();
  }

  const AllocatorUsage& usage() const { return allocator_.usage(); }

 private:
  Status Take(const AllocationTrace::Call& call) {
    if (call.kind == AllocationTrace::Kind::kAllocate) return Allocate(static_cast<size_t>(call.what));
    HELM_ASSIGN_OR_RETURN(const CachingAllocator::Handle workspace, allocator_.Allocate(Bytes(call.what)));
    allocator_.Free(workspace);
    return OkStatus();
  }

  Status Allocate(size_t buffer) {
    if (handles_[buffer]) return OkStatus();
    HELM_ASSIGN_OR_RETURN(handles_[buffer], allocator_.Allocate(Bytes(trace_.buffers[buffer].bytes)));
    return OkStatus();
  }

  void Free(size_t buffer) {
    if (!handles_[buffer]) return;
    allocator_.Free(*handles_[buffer]);
    handles_[buffer].reset();
  }

  const AllocationTrace& trace_;
  const AllocatorReplayOptions options_;
  CachingAllocator allocator_;
  std::vector<std::optional<CachingAllocator::Handle>> handles_;  // by buffer
};

}  // namespace

Result<std::vector<AllocatorUsage>> ReplayAllocator(const AllocationTrace& trace, const AllocatorReplayOptions& options) {
  HELM_CHECK(options.steps >= 1, "a replay has a step");
  Replay replay(trace, options);
  HELM_RETURN_IF_ERROR(replay.AllocatePersistent());
  std::vector<AllocatorUsage> usage;
  for (int64_t step = 0; step < options.steps; ++step) {
    HELM_RETURN_IF_ERROR(replay.Step(step));
    usage.push_back(replay.usage());
  }
  return usage;
}

Result<std::vector<AllocatorUsage>> ReplayAllocator(const ir::Program& program, const TaskCosts& costs,
                                                    const AllocatorReplayOptions& options) {
  HELM_CHECK(program.device == ir::DeviceKind::kCuda, "the caching allocator is of CUDA");
  return ReplayAllocator(TraceOf(program, costs), options);
}

}  // namespace helm::sim
