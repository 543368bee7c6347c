// From an export of Nsight Systems (formats/nsight_export.h) to what ran on its GPU.
#pragma once

#include <string>

#include "core/status.h"
#include "formats/nsight_export.h"
#include "importer/device_work.h"

namespace helm::importer {

// Of the process with most kernels. NVTX ranges are what operators are in a trace of torch.profiler (importer/kineto_work.h has the rules):
// those of torch.autograd.profiler.emit_nvtx are named as they are, with arguments behind a comma. A range named "step 7", "iteration 7" or
// "ProfilerStep#7" is a step. NCCL's kernels are collectives by their names; their groups are not told, so each stream is one.
Result<DeviceTrace> WorkOf(const formats::NsightExport& measured, const std::string& file);

}  // namespace helm::importer
