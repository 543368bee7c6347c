// DeviceWork: what ran on one GPU, from whatever profiler, and the timeline that it makes.
//
// Not a timeline yet: work is by CUDA stream and step, and may overlap by a few nanoseconds. Times are nanoseconds from one origin.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/units.h"
#include "formats/omissions.h"
#include "ir/timeline.h"

namespace helm::importer {

// An operator or collective that was launched, with all kernels that it made.
struct LaunchedOp {
  std::string target;  // "aten.mm", "c10d.all_reduce"; "kernel.NAME" where nobody knows the operator
  std::string phase;   // ir::Name(Phase), or "backward" where the two halves cannot be told apart; empty: not known
  std::string group;   // of a collective: the name of its process group; empty: it computes
  bool collective = false;
  int64_t launch_ns = 0;  // of its first kernel
};

struct DeviceWork {
  size_t op = 0;  // index into DeviceTrace::ops
  int64_t stream = 0;
  int64_t step = 0;  // index of the step that launched it
  int64_t start_ns = 0;
  int64_t duration_ns = 0;
  bool copies = false;  // a copy or a fill, not a kernel
  std::string kernel;   // a short name
};

struct DeviceTrace {
  std::string device;
  std::string description;  // of the run: "torch.profiler, rank 3 of 8"
  int32_t rank = 0;
  int64_t bytes_allocated_peak = 0;  // 0: not known
  std::vector<LaunchedOp> ops;
  std::vector<DeviceWork> work;
  int64_t steps = 1;
  formats::Omissions omissions;
  std::vector<std::string> remarks;
};

struct ImportedTimeline {
  ir::Timeline timeline;
  formats::Omissions omissions;
  std::vector<std::string> remarks;
};

// The step whose duration is the median (of an even number the shorter one). A step lasts from its first work to that of the next one; the
// last one, which ends with its work, counts only where it is alone. Ops are in order of their launch, an op's label is the name of its
// longest kernel, a stream that only copies is left out. Fails when there is no work.
Result<ImportedTimeline> TimelineOf(const DeviceTrace& trace, const std::string& file);

// The function's own name: "vectorized_elementwise_kernel" of "void at::native::vectorized_elementwise_kernel<4, ...>(int, ...)".
std::string ShortKernelName(std::string_view name);

// HELM's target of a collective, by the name that NCCL, c10d or a profiler gives it: "c10d.all_gather" of "_allgather_base", "AllGather".
std::string CollectiveTarget(std::string_view name);

}  // namespace helm::importer
