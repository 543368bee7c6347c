#include "runtime/gpu_state.h"

#include <dlfcn.h>

namespace helm::runtime {
namespace {

using Handle = void*;

// Signatures and numbers are those of nvml.h, stable by NVIDIA's promise of binary compatibility.
class Nvml {
 public:
  Nvml() : library_(dlopen("libnvidia-ml.so.1", RTLD_LAZY)) {
    if (library_ == nullptr) return;
    Find(initialise_, "nvmlInit_v2");
    Find(get_, "nvmlDeviceGetHandleByPciBusId_v2");
    Find(get_clock_, "nvmlDeviceGetClockInfo");
    Find(get_power_, "nvmlDeviceGetPowerUsage");
    Find(get_temperature_, "nvmlDeviceGetTemperature");
    Find(get_reasons_, "nvmlDeviceGetCurrentClocksThrottleReasons");
    usable_ = initialise_ && get_ && get_clock_ && initialise_() == 0;
  }

  std::optional<GpuState> Read(const std::string& pci_bus_id) const {
    Handle device = nullptr;
    if (!usable_ || get_(pci_bus_id.c_str(), &device) != 0) return std::nullopt;
    GpuState state;
    unsigned value = 0;
    if (get_clock_(device, kClockSm, &value) != 0) return std::nullopt;
    state.sm_clock_mhz = value;
    if (get_clock_(device, kClockMemory, &value) == 0) state.memory_clock_mhz = value;
    if (get_power_ != nullptr && get_power_(device, &value) == 0) state.power_watts = value / 1000.0;
    if (get_temperature_ != nullptr && get_temperature_(device, kSensorGpu, &value) == 0) state.temperature_celsius = value;
    unsigned long long reasons = 0;
    if (get_reasons_ != nullptr && get_reasons_(device, &reasons) == 0) state.slowdown_reasons = reasons;
    return state;
  }

 private:
  static constexpr int kClockSm = 1;      // NVML_CLOCK_SM
  static constexpr int kClockMemory = 2;  // NVML_CLOCK_MEM
  static constexpr int kSensorGpu = 0;    // NVML_TEMPERATURE_GPU

  template <typename Function>
  void Find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(dlsym(library_, name));
  }

  void* library_;
  bool usable_ = false;
  int (*initialise_)() = nullptr;
  int (*get_)(const char*, Handle*) = nullptr;
  int (*get_clock_)(Handle, int, unsigned*) = nullptr;
  int (*get_power_)(Handle, unsigned*) = nullptr;
  int (*get_temperature_)(Handle, int, unsigned*) = nullptr;
  int (*get_reasons_)(Handle, unsigned long long*) = nullptr;
};

}  // namespace

std::optional<GpuState> ReadGpuState(const std::string& pci_bus_id) {
  static const Nvml nvml;  // opening it takes milliseconds
  return nvml.Read(pci_bus_id);
}

}  // namespace helm::runtime
