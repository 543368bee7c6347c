// GpuState: how a GPU is doing at this moment, by NVML (libnvidia-ml.so.1, opened by name): recorded beside measurements, which mean little
// without the clock that they were taken at. Nothing is ever set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace helm::runtime {

struct GpuState {
  int64_t sm_clock_mhz = 0;
  int64_t memory_clock_mhz = 0;
  double power_watts = 0;
  int64_t temperature_celsius = 0;
  // NVML's bits: 0x1 idle, 0x4 power cap, 0x8 hardware slowdown, 0x20 software thermal, 0x40 hardware thermal, 0x80 power brake.
  uint64_t slowdown_reasons = 0;
};

// `pci_bus_id` as cluster::GpuFacts has it. None where NVML does not answer.
std::optional<GpuState> ReadGpuState(const std::string& pci_bus_id);

}  // namespace helm::runtime
