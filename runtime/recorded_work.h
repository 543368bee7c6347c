// RecordedWork: the work of a step on a GPU, recorded once and then launched as one, so that the host thread no longer launches op by op.
// Internal to runtime/.
//
// What is recorded reads and writes the same memory at each launch: parameters and inputs must stay where they were, results are written
// anew into the tensors that the recording made. Nothing in it may wait for the device.
#pragma once

#include <memory>

#include <c10/core/Device.h>

namespace helm::runtime {

class RecordedWork {
 public:
  virtual ~RecordedWork() = default;
  virtual void Begin() = 0;  // what this thread enqueues from here on is recorded and not run
  virtual void End() = 0;
  virtual void Launch() = 0;  // on the current stream
};

// In libhelm_runtime_cuda.so.
std::unique_ptr<RecordedWork> MakeCudaGraph(c10::DeviceIndex device);

}  // namespace helm::runtime
