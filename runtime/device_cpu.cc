#include <unistd.h>

#include <algorithm>

#include "runtime/allocator.h"
#include "runtime/device.h"

namespace helm::runtime {
namespace {

class CpuDevice final : public Device {
 public:
  CpuDevice() { InstallCountingAllocator(); }
  c10::Device torch_device() const override { return c10::Device(c10::DeviceType::CPU); }
  bool is_cpu() const override { return true; }
  int64_t LiveBytes() const override { return runtime::LiveBytes(); }
  int64_t PeakBytes() const override { return runtime::PeakBytes(); }
  void ResetPeakBytes() const override { runtime::ResetPeakBytes(); }
  void Synchronize() const override {}
  std::optional<double> ClockMegahertz() const override { return std::nullopt; }
  std::optional<DeviceMemory> Memory() const override { return std::nullopt; }
  // Bounds of what is swept, whatever the machine says of its cache.
  int64_t CacheBytes() const override { return std::clamp<int64_t>(sysconf(_SC_LEVEL3_CACHE_SIZE), int64_t{8} << 20, int64_t{64} << 20); }
  Result<std::unique_ptr<ProcessGroup>> Connect(const GroupAddress& address) const override { return ConnectGloo(address); }
  Result<std::unique_ptr<StepTimer>> MakeStepTimer(size_t, OpTimes) const override { return std::unique_ptr<StepTimer>(); }
  std::unique_ptr<RecordedWork> MakeRecordedWork() const override { return nullptr; }
  void RecordMemoryHistory() const override {}
  void NameAllocations(const std::string&) const override {}
  std::string MemorySnapshot() const override { return ""; }
};

}  // namespace

Result<std::unique_ptr<Device>> MakeCpuDevice() { return std::unique_ptr<Device>(std::make_unique<CpuDevice>()); }

}  // namespace helm::runtime
