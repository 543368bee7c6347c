// GpuFacts: what this machine's NVIDIA GPUs say of themselves, asked through the driver (libcuda.so.1, opened by name, so that HELM starts
// on machines without it). Not what they can do: rates come from a preset of configs/gpus/ whose `driver_name` is theirs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/units.h"

namespace helm::cluster {

struct GpuFacts {
  std::string name;  // the driver's: "NVIDIA H200"
  int64_t multiprocessors = 0;
  Bytes memory;  // in all, as the driver counts it
  Bytes l2;
  int compute_capability_major = 0;
  int compute_capability_minor = 0;
  std::string pci_bus_id;  // "0000:01:00.0": what NVML knows it by
  bool operator==(const GpuFacts&) const = default;
};

// In the order of CUDA's device numbers (so CUDA_VISIBLE_DEVICES counts). Empty without a driver, without a GPU, or when the driver
// refuses.
std::vector<GpuFacts> ReadGpuFacts();

// Of the NVIDIA kernel module, "580.95.05"; empty without one.
std::string NvidiaDriverVersion();

}  // namespace helm::cluster
