// Device: what differs between running on a CPU and on a GPU: the torch device, its memory counters, its process groups, how op times are
// taken.
//
// One implementation per file, device_cpu.cc and device_cuda.cc; the latter is in a library of its own (libhelm_runtime_cuda.so beside the
// executable), loaded only when a program runs on a GPU, since libtorch_cuda takes a second and hundreds of megabytes to load. Internal to
// runtime/.
#pragma once

#include <memory>
#include <optional>

#include <c10/core/Device.h>

#include "core/status.h"
#include "ir/program.h"
#include "runtime/interpreter.h"
#include "runtime/process_group.h"
#include "runtime/recorded_work.h"

namespace helm::runtime {

// What takes the times of ops on the device's stream. Absent on a CPU, where the host's clock is the device's.
class StepTimer {
 public:
  virtual ~StepTimer() = default;
  // `record`: whether ops are timed, which takes the host and the device a little.
  virtual void BeginStep(bool record) = 0;
  virtual void BeginOp(size_t op) = 0;
  virtual void EndOp(size_t op) = 0;
  // Waits for the device and writes the times of all ops that were recorded, from the start of the step.
  virtual Status EndStep(StepRecord& record) = 0;
};

struct DeviceMemory {
  int64_t reserved_bytes_peak = 0;  // by the caching allocator, since the last ResetPeakBytes
  int64_t outside_bytes = 0;        // in use on the device beyond what the allocator has reserved: contexts, libraries, other processes
};

class Device {
 public:
  // `rank` chooses among several GPUs. A GPU that is not there is an UnavailableError.
  static Result<std::unique_ptr<Device>> Make(ir::DeviceKind kind, int64_t rank);

  virtual ~Device() = default;
  virtual c10::Device torch_device() const = 0;
  virtual bool is_cpu() const = 0;
  virtual int64_t LiveBytes() const = 0;
  virtual int64_t PeakBytes() const = 0;
  virtual void ResetPeakBytes() const = 0;
  virtual std::optional<DeviceMemory> Memory() const = 0;  // none on a CPU
  // GPU: at which its multiprocessors run at this moment, measured by a kernel that counts cycles; waits for the device. None on a CPU.
  virtual std::optional<double> ClockMegahertz() const = 0;
  virtual int64_t CacheBytes() const = 0;  // of the last-level cache, as far as it is known
  virtual void Synchronize() const = 0;
  virtual Result<std::unique_ptr<ProcessGroup>> Connect(const GroupAddress& address) const = 0;
  virtual Result<std::unique_ptr<StepTimer>> MakeStepTimer(size_t ops, OpTimes times) const = 0;
  virtual std::unique_ptr<RecordedWork> MakeRecordedWork() const = 0;  // null on a CPU

  // GPU: from here on the caching allocator keeps a history, each entry with the name that was set last.
  virtual void RecordMemoryHistory() const = 0;
  virtual void NameAllocations(const std::string& name) const = 0;
  virtual std::string MemorySnapshot() const = 0;  // pickled, for torch.cuda._memory_viz; empty on a CPU
};

Result<std::unique_ptr<Device>> MakeCpuDevice();
// From libhelm_runtime_cuda.so.
Result<std::unique_ptr<Device>> LoadCudaDevice(int64_t rank);

}  // namespace helm::runtime
