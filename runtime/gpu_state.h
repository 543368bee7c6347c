// GpuState and GpuLinks: how a GPU is doing at this moment, and how it is connected, by NVML (libnvidia-ml.so.1, opened by name). The state
// is recorded beside measurements, which mean little without the clock that they were taken at. Nothing is ever set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/units.h"

namespace helm::runtime {

struct GpuState {
  int64_t sm_clock_mhz = 0;
  int64_t memory_clock_mhz = 0;
  double power_watts = 0;
  int64_t temperature_celsius = 0;
  // NVML's bits: 0x1 idle, 0x4 power cap, 0x8 hardware slowdown, 0x20 software thermal, 0x40 hardware thermal, 0x80 power brake.
  uint64_t slowdown_reasons = 0;
};

// To the other GPUs of its machine. Bandwidths are of all lanes, in one direction, as the standards state them.
struct GpuLinks {
  int64_t nvlinks = 0;     // that are up
  bool to_switch = false;  // they end at an NVSwitch, not at another GPU
  BytesPerSecond nvlink;   // of all of them; 0 where there are none
  BytesPerSecond pcie;     // 0: unknown
};

// `pci_bus_id` as cluster::GpuFacts has it. None where NVML does not answer.
std::optional<GpuState> ReadGpuState(const std::string& pci_bus_id);
std::optional<GpuLinks> ReadGpuLinks(const std::string& pci_bus_id);

// One direction of a link: NVLink by NVML's number of its version, PCIe by generation and lanes. 0 where the version is not known.
BytesPerSecond NvlinkBandwidth(unsigned version);
BytesPerSecond PcieBandwidth(unsigned generation, unsigned lanes);

}  // namespace helm::runtime
