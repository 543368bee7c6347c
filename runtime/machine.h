// Machine: what this computer has, and how this process measures itself. No torch type is visible here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/units.h"

namespace helm::runtime {

struct GpuDescription {
  std::string name;
  int64_t multiprocessors = 0;
  Bytes memory;
  int compute_capability_major = 0;
  int compute_capability_minor = 0;
};

struct MachineDescription {
  std::string hostname;
  std::string cpu_name;
  int64_t cpu_cores = 0;  // that this process may use
  Bytes memory;
  std::vector<GpuDescription> gpus;
  std::string driver_version;  // empty without a GPU
  std::string torch_version;
};

Result<MachineDescription> DescribeMachine();

}  // namespace helm::runtime
