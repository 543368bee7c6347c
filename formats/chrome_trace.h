// Chrome trace: a timeline as the JSON that ui.perfetto.dev, chrome://tracing and HolisticTraceAnalysis (HTA) open. Writing only.
//
// Not HELM's own file of a timeline (ir/timeline.h): times are rounded down to nanoseconds, and what the viewers need is added. A process
// is a rank, a thread is one of its streams; invariant: slices of one thread do not overlap (Chrome's JSON loses overlapping ones). HTA
// takes an event for a kernel by `args.stream`, for communication by its name (`nccl...`), and finds the rank by the text `"rank": N`; so
// collectives are named as NCCL's kernels are, and HELM's name stands in `args.op`. Format: docs/formats/chrome_trace.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/status.h"
#include "ir/timeline.h"

namespace helm::formats {

struct ChromeTraceOptions {
  std::optional<int32_t> rank;  // only this rank: HTA wants a file per rank. None: all ranks in one file, for Perfetto
  int64_t step = 0;             // N of the annotation ProfilerStep#N
};

// Fails (invalid) when the timeline has no event of the rank, or when two events of one stream overlap.
Result<std::string> ToChromeTrace(const ir::Timeline& timeline, const ChromeTraceOptions& options = {});

// One file per rank, `rankN_trace.json`, into an existing folder: what HTA's TraceAnalysis(trace_dir=...) reads. Each is written
// atomically.
Status WriteChromeTracesByRank(const ir::Timeline& timeline, const std::string& folder, int64_t step = 0);

}  // namespace helm::formats
