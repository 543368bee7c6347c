#include "runtime/gpu_state.h"

#include <dlfcn.h>

#include <iterator>

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
    Find(get_link_state_, "nvmlDeviceGetNvLinkState");
    Find(get_link_version_, "nvmlDeviceGetNvLinkVersion");
    Find(get_link_end_, "nvmlDeviceGetNvLinkRemoteDeviceType");
    Find(get_pcie_generation_, "nvmlDeviceGetMaxPcieLinkGeneration");
    Find(get_pcie_width_, "nvmlDeviceGetMaxPcieLinkWidth");
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

  std::optional<GpuLinks> ReadLinks(const std::string& pci_bus_id) const {
    Handle device = nullptr;
    if (!usable_ || get_(pci_bus_id.c_str(), &device) != 0) return std::nullopt;
    GpuLinks links;
    double bandwidth = 0;
    for (unsigned link = 0; link < kLinksMost && get_link_state_ != nullptr && get_link_version_ != nullptr; ++link) {
      unsigned is_up = 0;
      unsigned version = 0;
      if (get_link_state_(device, link, &is_up) != 0 || is_up == 0 || get_link_version_(device, link, &version) != 0) continue;
      ++links.nvlinks;
      bandwidth += NvlinkBandwidth(version).value();
      int end = 0;
      if (get_link_end_ != nullptr && get_link_end_(device, link, &end) == 0) links.to_switch |= end == kEndSwitch;
    }
    links.nvlink = BytesPerSecond::Of(bandwidth);
    unsigned generation = 0;
    unsigned width = 0;
    if (get_pcie_generation_ != nullptr && get_pcie_width_ != nullptr && get_pcie_generation_(device, &generation) == 0 &&
        get_pcie_width_(device, &width) == 0) {
      links.pcie = PcieBandwidth(generation, width);
    }
    return links;
  }

 private:
  static constexpr unsigned kLinksMost = 18;  // NVML_NVLINK_MAX_LINKS
  static constexpr int kEndSwitch = 2;        // NVML_NVLINK_DEVICE_TYPE_SWITCH
  static constexpr int kClockSm = 1;          // NVML_CLOCK_SM
  static constexpr int kClockMemory = 2;      // NVML_CLOCK_MEM
  static constexpr int kSensorGpu = 0;        // NVML_TEMPERATURE_GPU

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
  int (*get_link_state_)(Handle, unsigned, unsigned*) = nullptr;
  int (*get_link_version_)(Handle, unsigned, unsigned*) = nullptr;
  int (*get_link_end_)(Handle, unsigned, int*) = nullptr;
  int (*get_pcie_generation_)(Handle, unsigned*) = nullptr;
  int (*get_pcie_width_)(Handle, unsigned*) = nullptr;
};

const Nvml& Library() {
  static const Nvml nvml;  // opening it takes milliseconds
  return nvml;
}

}  // namespace

std::optional<GpuState> ReadGpuState(const std::string& pci_bus_id) { return Library().Read(pci_bus_id); }
std::optional<GpuLinks> ReadGpuLinks(const std::string& pci_bus_id) { return Library().ReadLinks(pci_bus_id); }

// NVML numbers versions NVML_NVLINK_VERSION_1_0 = 1, 2.0, 2.2, 3.0, 3.1, 4.0, 5.0 = 7. GB/s of one link and direction: 20 (P100), 25 (V100,
// A100, H100: with 6, 12 and 18 links 150, 300 and 450), 50 (B200: 18 links, 900); NVIDIA's data sheets.
BytesPerSecond NvlinkBandwidth(unsigned version) {
  constexpr double kGigabytes[] = {0, 20, 25, 25, 25, 25, 25, 50};
  return BytesPerSecond::Gigabytes(version < std::size(kGigabytes) ? kGigabytes[version] : 0);
}

// PCI-SIG: 2.5 and 5 GT/s at 8b/10b, then 8 GT/s doubling at 128b/130b, 64 GT/s in flits of 242/256 from generation 6 on.
BytesPerSecond PcieBandwidth(unsigned generation, unsigned lanes) {
  constexpr double kGigabytesOfLane[] = {
      0, 0.25, 0.5, 8.0 / 8 * 128 / 130, 16.0 / 8 * 128 / 130, 32.0 / 8 * 128 / 130, 64.0 / 8 * 242 / 256};
  return BytesPerSecond::Gigabytes(generation < std::size(kGigabytesOfLane) ? kGigabytesOfLane[generation] * lanes : 0);
}

}  // namespace helm::runtime
