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
  Result<std::unique_ptr<ProcessGroup>> Connect(const GroupAddress& address) const override { return ConnectGloo(address); }
  std::unique_ptr<StepTimer> MakeStepTimer(size_t, int32_t) const override { return nullptr; }
};

}  // namespace

Result<std::unique_ptr<Device>> MakeCpuDevice() { return std::unique_ptr<Device>(std::make_unique<CpuDevice>()); }

}  // namespace helm::runtime
