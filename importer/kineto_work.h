// From a trace of torch.profiler (formats/kineto_trace.h) to what ran on its GPU.
#pragma once

#include <string>

#include "core/status.h"
#include "formats/kineto_trace.h"
#include "importer/device_work.h"

namespace helm::importer {

// A kernel belongs to the operator that launched it: by its `External id`, by that of the launch with its `correlation`, or to the operator
// around that launch; where there is none (a captured graph), to itself. It belongs to the step (`ProfilerStep#N`) in which it was
// launched. The phase of an op is told by what is around its launch: autograd's nodes (backward), the recomputation of a checkpoint in one,
// the optimizer's step. Of a trace with kernels of several GPUs, the one with most of them.
Result<DeviceTrace> WorkOf(const formats::KinetoTrace& trace, const std::string& file);

}  // namespace helm::importer
