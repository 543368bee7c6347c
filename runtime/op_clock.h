// OpClock: takes the times of ops on a GPU's streams. Two of them: CUDA events, which every machine has, and CUPTI's activity records,
// which stand beside the streams instead of in them and say which kernels ran. Internal to the CUDA part of runtime/.
//
// What a time means differs. Events: from the moment when the stream had done everything before the op to the moment when the op was done,
// so the time that the device takes to start a kernel is in it. Activity records: from the start of the op's first kernel to the end of its
// last. Both are compared on a GPU (tests/runtime/device_gpu_test.cc).
#pragma once

#include <cstddef>
#include <memory>

#include <c10/cuda/CUDAStream.h>

#include "core/status.h"
#include "runtime/interpreter.h"

namespace helm::runtime {

class OpClock {
 public:
  virtual ~OpClock() = default;
  virtual void BeginStep(const c10::cuda::CUDAStream& stream) = 0;
  virtual void BeginOp(size_t op, const c10::cuda::CUDAStream& stream) = 0;
  virtual void EndOp(size_t op, const c10::cuda::CUDAStream& stream) = 0;
  // The ops' times from the start of the step. REQUIRES: the device has caught up.
  virtual Status EndStep(StepRecord& record) = 0;
};

std::unique_ptr<OpClock> MakeEventClock(size_t ops);
// kUnavailable where CUPTI does not run: another tool has it, or the driver does not allow it.
Result<std::unique_ptr<OpClock>> MakeActivityClock();

}  // namespace helm::runtime
