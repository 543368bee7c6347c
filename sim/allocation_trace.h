// AllocationTrace: what a rank asks its allocator for and gives back through one step, call by call, by the lifetimes of ir/lifetime.h.
//
// Of a program, or of a step from its excerpt: then each action of the whole schedule makes the calls of the one that stands for it, and
// what is given back when is found anew, by the last use of each buffer in the whole step. The calls are those of the step written out
// (property test); where an excerpt cannot tell them there is no trace. Not the allocator: sim/allocator_replay.h.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "ir/program.h"
#include "sim/step_excerpt.h"
#include "sim/task_costs.h"

namespace helm::sim {

struct AllocationTrace {
  struct Buffer {
    std::string_view name;  // of its storage
    int64_t bytes = 0;
    bool persistent = false;
    bool optimizer_state = false;
    bool operator==(const Buffer&) const = default;
  };
  enum class Kind : uint8_t { kAllocate, kFree, kWorkspace };
  struct Call {
    Kind kind = Kind::kAllocate;
    uint32_t op = 0;   // in launch order, of all ops of the step
    int64_t what = 0;  // the buffer; of a workspace, which is given back at once, its bytes
    bool operator==(const Call&) const = default;
  };

  std::vector<Buffer> buffers;  // the persistent ones in the order in which they are allocated before the step
  // Optimizer state is allocated by the first op that uses it, unless it is there. What no call gives back goes at the end of the step,
  // unless it is persistent. No buffer is empty.
  std::vector<Call> calls;
};

// REQUIRES: Verify(program) is ok. The trace refers to the program.
AllocationTrace TraceOf(const ir::Program& program, const TaskCosts& costs);

// Of a class of the step; `costs` are its own. The excerpt holds every layer, and the trace refers to it. kUnavailable, with the reason,
// when the excerpt does not tell.
Result<AllocationTrace> TraceOf(const StepExcerpt& excerpt, size_t rank_class, const TaskCosts& costs);

}  // namespace helm::sim
